#include "daemon/kvasir/interrupts.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace kvasir::client {
namespace {

std::atomic<int> signal_pipe{-1};
std::atomic<bool> is_pending{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "a signal handler uses them");

extern "C" void on_interrupt(int) {
    const int saved = errno;
    if (is_pending.exchange(true)) {
        std::signal(SIGINT, SIG_DFL);
        std::raise(SIGINT);
    } else {
        const char byte = 0;
        (void)!::write(signal_pipe.load(), &byte, 1);
    }
    errno = saved;
}

}  // namespace

Interrupts::Interrupts() {
    struct sigaction action {};
    if (sigaction(SIGINT, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) return;
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return;  // Ctrl-C then simply kills
    read_fd_ = fds[0];
    write_fd_ = fds[1];
    signal_pipe = write_fd_;
    is_pending = false;
    action = {};
    action.sa_handler = on_interrupt;  // no SA_RESTART: blocked reads shall notice
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
}

Interrupts::~Interrupts() {
    if (read_fd_ < 0) return;
    std::signal(SIGINT, SIG_DFL);
    ::close(read_fd_);
    ::close(write_fd_);
}

bool Interrupts::pending() const {
    return is_pending.load();
}

bool Interrupts::take() {
    if (!is_pending.load()) return false;
    char bytes[16];
    while (read_fd_ >= 0 && ::read(read_fd_, bytes, sizeof bytes) > 0) {
    }
    is_pending = false;
    return true;
}

}  // namespace kvasir::client
