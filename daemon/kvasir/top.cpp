// kvasir top: the daemon's figures, live on a terminal, else once or as lines of JSON.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <poll.h>
#include <unistd.h>

#include "daemon/kvasir/commands.hpp"
#include "daemon/kvasir/live_screen.hpp"
#include "daemon/kvasir/top_poller.hpp"
#include "daemon/kvasir/top_screen.hpp"

namespace kvasir::client {
namespace {

bool has_block_font() {
    const char* term = std::getenv("TERM");
    return term != nullptr && std::string_view(term) != "linux";
}

/// Width of what is printed without a screen.
std::size_t plain_width() {
    const char* columns = std::getenv("COLUMNS");
    const long width = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
    return width >= 40 && width <= 1000 ? static_cast<std::size_t>(width) : 100;
}

void print_plain(Context& context, const TopReport& report) {
    const TopFrame frame{plain_width(), 0, has_block_font(), false};
    for (const ScreenLine& line : top_screen(report, frame)) {
        std::string text = line.text();
        text.erase(text.find_last_not_of(' ') + 1);
        (void)context.out.write(text + "\n");
    }
}

/// One look, or one after the other as JSON. The first has no rates yet and is not shown.
ExitCode print_looks(Context& context) {
    const std::int64_t endless = std::numeric_limits<std::int64_t>::max();
    const std::int64_t wanted = context.options.count.value_or(context.options.json ? endless : 1);
    TopPoller poller(context.options.endpoint, context.options.interval);
    bool is_first = true;
    for (std::int64_t n = 0; n < wanted;) {
        std::array<pollfd, 2> fds = {
            {{poller.fd(), POLLIN, 0}, {context.interrupts.fd(), POLLIN, 0}}};
        (void)::poll(fds.data(), fds.size(), -1);
        if (context.interrupts.take()) return ExitCode::cancelled;
        const auto look = poller.take();
        if (!look) continue;
        const std::string& error = look->report.error;
        if (!error.empty() && (is_first || !context.options.json)) {
            print_error(context, error);
            return look->cannot_connect ? ExitCode::cannot_connect : ExitCode::failed;
        }
        if (std::exchange(is_first, false)) continue;
        ++n;
        if (context.options.json) {
            (void)context.out.write(top_json(look->report) + "\n");
        } else {
            print_plain(context, look->report);
        }
        const ExitCode status = output_status(context);
        if (status != ExitCode::ok) return status;
    }
    return ExitCode::ok;
}

/// What is on the screen, and why it ends.
class TopView {
public:
    TopView(Context& context, LiveScreen& screen)
        : context_(context),
          screen_(screen),
          poller_(context.options.endpoint, context.options.interval) {}

    ExitCode run();
    const std::string& error() const { return error_; }  // to be said when the screen has gone

private:
    std::optional<ExitCode> take_look();
    std::optional<ExitCode> take(LiveScreen::Event event);
    bool draw();

    Context& context_;
    LiveScreen& screen_;
    TopPoller poller_;
    std::optional<TopReport> report_;
    std::int64_t n_looks_ = 0;
    bool has_keys_ = ::isatty(STDIN_FILENO) == 1;
    std::string error_;
};

bool TopView::draw() {
    const LiveScreen::Size size = screen_.size();
    return screen_.draw(top_screen(report_.value_or(TopReport{}),
                                   {size.width, size.height, has_block_font(), has_keys_}));
}

std::optional<ExitCode> TopView::take_look() {
    auto look = poller_.take();
    if (!look) return std::nullopt;
    if (look->cannot_connect && !report_) {
        error_ = look->report.error;
        return ExitCode::cannot_connect;
    }
    report_ = std::move(look->report);
    if (!draw()) return ExitCode::failed;
    if (context_.options.count && ++n_looks_ >= *context_.options.count) return ExitCode::ok;
    return std::nullopt;
}

std::optional<ExitCode> TopView::take(LiveScreen::Event event) {
    switch (event) {
        case LiveScreen::Event::none: return std::nullopt;
        case LiveScreen::Event::key_q: return ExitCode::ok;
        case LiveScreen::Event::ended: return ExitCode::cancelled;
        case LiveScreen::Event::resized: break;
    }
    if (!draw()) return ExitCode::failed;
    return std::nullopt;
}

ExitCode TopView::run() {
    while (true) {
        std::array<pollfd, 3> fds = {{{poller_.fd(), POLLIN, 0},
                                      {screen_.signal_fd(), POLLIN, 0},
                                      {has_keys_ ? STDIN_FILENO : -1, POLLIN, 0}}};
        if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return ExitCode::failed;
        std::optional<ExitCode> code;
        if (fds[1].revents != 0) code = take(screen_.take_signal());
        if (!code && fds[2].revents != 0) code = take(screen_.take_keys());
        if (!code && fds[0].revents != 0) code = take_look();
        if (code) return *code;
    }
}

ExitCode show_live(Context& context) {
    ExitCode code = ExitCode::ok;
    int end_signal = 0;
    std::string error;
    {
        LiveScreen screen(context.out, context.interrupts.fd() >= 0);
        TopView view(context, screen);
        code = view.run();
        error = view.error();
        end_signal = screen.end_signal();
    }
    if (!error.empty()) print_error(context, error);
    if (end_signal != 0 && end_signal != SIGINT) {
        // As if it had not been caught: whoever waits for this process sees the same.
        std::signal(end_signal, SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, end_signal);
        ::raise(end_signal);
        ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    }
    return code;
}

}  // namespace

ExitCode run_top(Context& context) {
    const char* term = std::getenv("TERM");
    const bool is_dumb = term == nullptr || std::string_view(term) == "dumb" || *term == '\0';
    if (context.options.json || is_dumb || !context.out.is_terminal()) return print_looks(context);
    return show_live(context);
}

}  // namespace kvasir::client
