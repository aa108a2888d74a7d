// Ctrl-C as a file descriptor, so that whoever waits can wait for it too.
#pragma once

namespace kvasir::client {

/// Catches SIGINT while it lives, unless the process was started with SIGINT ignored (background
/// jobs). A second Ctrl-C before the first was taken kills the process: the way out of a write to a
/// stalled reader. At most one object at a time.
class Interrupts {
public:
    Interrupts();
    ~Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;

    int fd() const { return read_fd_; }  // readable while a Ctrl-C is pending; -1 if not caught
    bool pending() const;
    /// Whether one was pending; it is not any more.
    bool take();

private:
    int read_fd_ = -1;
    int write_fd_ = -1;
};

}  // namespace kvasir::client
