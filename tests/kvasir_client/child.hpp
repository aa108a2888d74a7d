// Child: the kvasir program, run on pipes or on a terminal of its own.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

namespace kvasir::test {

class Child {
public:
    enum class On { pipes, terminal };
    static constexpr std::chrono::seconds kPatience{30};  // busy machines; nothing sleeps this long

    Child(const std::string& program, std::vector<std::string> arguments, On on = On::pipes,
          const std::vector<int>& ignored_signals = {}) {
        std::array<std::array<int, 2>, 3> pipes{};
        if (on == On::pipes) {
            for (auto& pipe : pipes) (void)!::pipe2(pipe.data(), O_CLOEXEC);
            pid_ = ::fork();
        } else {
            pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
        }
        if (pid_ == 0) {
            if (on == On::pipes) {
                ::dup2(pipes[0][0], 0);
                ::dup2(pipes[1][1], 1);
                ::dup2(pipes[2][1], 2);
            }
            for (const int number : {SIGINT, SIGPIPE})
                std::signal(number, SIG_DFL);  // not as inherited
            for (const int number : ignored_signals) std::signal(number, SIG_IGN);
            ::setenv("TERM", "xterm", 1);
            ::setenv("HOME", "/nonexistent", 1);  // no ~/.editrc
            for (const char* name : {"KVASIR_SOCKET", "KVASIR_URL", "KVASIR_API_KEY", "NO_COLOR"})
                ::unsetenv(name);
            std::vector<char*> argv = {const_cast<char*>("kvasir")};
            for (std::string& argument : arguments) argv.push_back(argument.data());
            argv.push_back(nullptr);
            ::execv(program.c_str(), argv.data());
            ::_exit(99);
        }
        if (on == On::terminal) {
            in_ = out_ = terminal_;
            return;
        }
        ::close(pipes[0][0]);
        ::close(pipes[1][1]);
        ::close(pipes[2][1]);
        in_ = pipes[0][1];
        out_ = pipes[1][0];
        err_ = pipes[2][0];
    }

    ~Child() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        close_output();
        if (in_ != terminal_) close_input();
        if (err_ >= 0) ::close(err_);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Goes on writing while the child writes, too.
    void write(std::string_view bytes) {
        const auto previous = std::signal(SIGPIPE, SIG_IGN);
        while (!bytes.empty()) {
            const ssize_t n =
                ::write(in_, bytes.data(), std::min<std::size_t>(bytes.size(), 65536));
            if (n <= 0) break;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        std::signal(SIGPIPE, previous);
    }
    void close_input() {
        if (in_ >= 0) ::close(in_);
        in_ = -1;
    }
    void close_output() {
        if (out_ >= 0) ::close(out_);
        out_ = -1;
    }
    void signal(int number) { ::kill(pid_, number); }

    /// Reads until standard output or the terminal has shown the text, from where the last call
    /// found its own.
    bool expect(const std::string& text) {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (std::chrono::steady_clock::now() < end) {
            const std::size_t found = output.find(text, seen_);
            if (found != std::string::npos) {
                seen_ = found + text.size();
                return true;
            }
            if (!read_some()) return output.find(text, seen_) != std::string::npos;
        }
        return false;
    }

    /// The prompt, and a terminal that is ready for keys: libedit shows the prompt a moment
    /// earlier, and a Ctrl-D that comes before is lost.
    bool expect_prompt() {
        if (!expect("> ")) return false;
        termios settings{};
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (std::chrono::steady_clock::now() < end) {
            const bool known = ::tcgetattr(terminal_, &settings) == 0;
            if (known && (settings.c_lflag & static_cast<tcflag_t>(ICANON)) == 0) return true;
            ::poll(nullptr, 0, 2);
        }
        return false;
    }

    /// Reads all there is; the exit code, 128 + N for signal N, or -1 when it did not end in time.
    int wait() {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (std::chrono::steady_clock::now() < end && read_some()) {
        }
        while (std::chrono::steady_clock::now() < end) {
            int status = 0;
            if (::waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = -1;
                return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            }
            ::poll(nullptr, 0, 5);
        }
        return -1;
    }

    std::string output;  // of standard output, or the terminal
    std::string errors;  // of standard error, on pipes

private:
    /// False at the end of both.
    bool read_some() {
        std::array<pollfd, 2> fds = {{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
        if (out_ < 0 && err_ < 0) return false;
        (void)::poll(fds.data(), fds.size(), 100);
        const auto take = [](const pollfd& ready, std::string& to) {
            if (ready.fd < 0 || (ready.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
            std::array<char, 65536> bytes{};
            const ssize_t n = ::read(ready.fd, bytes.data(), bytes.size());
            if (n <= 0) return false;
            to.append(bytes.data(), static_cast<std::size_t>(n));
            return true;
        };
        if (!take(fds[0], output)) close_output();
        if (!take(fds[1], errors)) {
            ::close(err_);
            err_ = -1;
        }
        return true;
    }

    pid_t pid_ = -1;
    int terminal_ = -1;
    int in_ = -1;
    int out_ = -1;
    int err_ = -1;
    std::size_t seen_ = 0;
};

}  // namespace kvasir::test
