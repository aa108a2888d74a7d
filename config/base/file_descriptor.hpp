// FileDescriptor: owns one; closed with it.
#pragma once

#include <unistd.h>
#include <utility>

namespace kvasir {

/// Move-only, empty when moved from.
class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        FileDescriptor(std::move(other)).swap(*this);
        return *this;
    }
    ~FileDescriptor() {
        if (fd_ >= 0) ::close(fd_);
    }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    void swap(FileDescriptor& other) noexcept { std::swap(fd_, other.fd_); }

    int fd_ = -1;
};

}  // namespace kvasir
