// ListeningSocket: a bound, listening, non-blocking socket: a Unix path, a loopback address, or one
// from systemd.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

#include "config/base/error.hpp"

namespace kvasir {

/// Owns the descriptor and, where it made it, the socket's file: both go with it. Move-only.
class ListeningSocket {
public:
    /// A file left by a dead daemon is replaced; a socket that somebody answers on is not.
    /// Errors: invalid_argument (path too long for a socket, not a socket), conflict (in use), io.
    static Result<ListeningSocket> open_unix(const std::string& path, unsigned mode);
    /// address: HOST:PORT or [HOST]:PORT. Errors: invalid_argument (not an address, not loopback),
    /// conflict, io.
    static Result<ListeningSocket> open_tcp(const std::string& address);
    /// Takes over a listening socket. Errors: invalid_argument (no listening stream socket).
    static Result<ListeningSocket> adopt(int fd);

    ListeningSocket(ListeningSocket&& other) noexcept;
    ListeningSocket& operator=(ListeningSocket&& other) noexcept;
    ~ListeningSocket();

    int fd() const { return fd_; }
    int family() const { return family_; }
    std::uint16_t port() const;  // 0 for a Unix socket
private:
    ListeningSocket(int fd, int family) : fd_(fd), family_(family) {}
    void remove_file() noexcept;

    int fd_ = -1;
    int family_ = 0;
    std::string path_;  // empty: no file of ours
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace kvasir
