#include "daemon/kvasir/live_screen.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

namespace kvasir::client {
namespace {

// Source: xterm's control sequences: alternate screen with saved cursor, cursor visibility.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
// Synchronized update: a terminal that knows it shows whole frames.
constexpr std::string_view kBeginFrame = "\x1b[?2026h";
constexpr std::string_view kEndFrame = "\x1b[?2026l";

constexpr std::array kCrashes = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// What a crash needs; plain data, since a signal handler reads it.
volatile std::sig_atomic_t has_screen = 0;
volatile std::sig_atomic_t has_settings = 0;
termios saved_settings{};

/// Async-signal-safe.
void give_back() {
    if (has_screen != 0) (void)!::write(STDOUT_FILENO, kLeave.data(), kLeave.size());
    if (has_settings != 0) (void)::tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
    has_screen = 0;
}

extern "C" void on_crash(int number) {
    give_back();
    ::raise(number);  // SA_RESETHAND: the default action now
}

void catch_crashes() {
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    sigemptyset(&action.sa_mask);
    for (const int number : kCrashes) sigaction(number, &action, nullptr);
}

sigset_t watched(bool takes_interrupts) {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH}) {
        struct sigaction action {};
        sigaction(number, nullptr, &action);
        if (action.sa_handler != SIG_IGN) sigaddset(&set, number);
    }
    if (takes_interrupts) sigaddset(&set, SIGINT);
    return set;
}

}  // namespace

LiveScreen::LiveScreen(Output& out, bool takes_interrupts) : out_(out) {
    const sigset_t set = watched(takes_interrupts);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    has_settings = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &saved_settings) == 0;
    catch_crashes();
    enter();
}

LiveScreen::~LiveScreen() {
    leave();
}

void LiveScreen::enter() {
    if (has_settings != 0) {
        termios settings = saved_settings;
        settings.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        settings.c_cc[VMIN] = 1;
        settings.c_cc[VTIME] = 0;
        (void)::tcsetattr(STDIN_FILENO, TCSANOW, &settings);
    }
    has_screen = 1;
    (void)out_.write_own(kEnter);
}

void LiveScreen::leave() {
    if (has_settings != 0)
        (void)::tcflush(STDIN_FILENO, TCIFLUSH);  // keys that were not for a shell
    if (has_screen != 0) (void)out_.write_own(kLeave);
    has_screen = 0;
    if (has_settings != 0) (void)::tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
}

LiveScreen::Size LiveScreen::size() const {
    winsize found{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) != 0 || found.ws_col == 0 || found.ws_row == 0)
        return {};
    return {found.ws_col, found.ws_row};
}

bool LiveScreen::draw(std::vector<ScreenLine> lines) {
    const Size screen = size();
    std::string bytes(kBeginFrame);
    if (lines.size() > screen.height) lines.resize(screen.height);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        lines[i].cut(screen.width);
        bytes += fmt::format("\x1b[{};1H", i + 1);
        for (const Span& span : lines[i].spans()) bytes += out_.styled(span.sgr, span.text);
        if (lines[i].width() < screen.width) bytes += "\x1b[K";
    }
    if (lines.size() < screen.height) bytes += fmt::format("\x1b[{};1H\x1b[J", lines.size() + 1);
    return out_.write_own(bytes.append(kEndFrame));
}

LiveScreen::Event LiveScreen::take_signal() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
        return Event::none;
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGWINCH) return Event::resized;
    if (number == SIGTSTP) {
        stop_and_go_on();
        return Event::resized;
    }
    end_signal_ = number;
    return Event::ended;
}

void LiveScreen::stop_and_go_on() {
    leave();
    (void)::raise(SIGSTOP);  // SIGTSTP itself is blocked here; a shell sees the same
    enter();
}

LiveScreen::Event LiveScreen::take_keys() {
    std::array<char, 256> keys{};
    const ssize_t n = ::read(STDIN_FILENO, keys.data(), keys.size());
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return Event::ended;
    for (ssize_t i = 0; i < n; ++i) {
        const char key = keys[static_cast<std::size_t>(i)];
        if (key == '\x1b') break;  // an arrow or function key
        if (key == 'q' || key == 'Q') return Event::key_q;
    }
    return Event::none;
}

}  // namespace kvasir::client
