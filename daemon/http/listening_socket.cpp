#include "daemon/http/listening_socket.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace kvasir {

namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

Error io_error(const std::string& subject, const char* what) {
    return {ErrorCode::io, fmt::format("{}: {}: {}", subject, what, std::strerror(errno))};
}

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_;
};

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{}: a socket path of {} bytes, expected 1 to {}", path,
                                 path.size(), sizeof(address.sun_path) - 1)};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

/// Removes a file that nobody answers on.
Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0)
        return errno == ENOENT ? Result<>() : Result<>(io_error(path, "cannot be examined"));
    if (!S_ISSOCK(info.st_mode)) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{}: exists and is not a socket; it is left alone", path)};
    }
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe.get() < 0) return io_error(path, "socket");
    const int answer =
        ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    // EAGAIN: somebody listens and the queue is full.
    if (answer == 0 || errno == EAGAIN || errno == EINPROGRESS) {
        return Error{ErrorCode::conflict,
                     fmt::format("{}: another daemon answers on this socket", path)};
    }
    if (errno != ECONNREFUSED && errno != ENOENT) return io_error(path, "cannot be probed");
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return io_error(path, "stale socket cannot be removed");
    return {};
}

/// Held while a stale file is replaced: of two daemons that start together, one must see the
/// other's new socket.
Result<int> lock_directory(const std::string& path) {
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const std::string directory = parent.empty() ? "." : parent.string();
    Descriptor lock(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock.get() < 0) return io_error(directory, "the socket's directory cannot be opened");
    if (::flock(lock.get(), LOCK_EX) != 0) return io_error(directory, "cannot be locked");
    return lock.release();
}

Result<std::uint16_t> parse_port(const std::string& address, const std::string& text) {
    std::uint16_t port = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{}: port \"{}\", expected 0 to 65535", address, text)};
    }
    return port;
}

struct TcpAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
};

Result<TcpAddress> parse_tcp(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{}: no port, expected HOST:PORT or [HOST]:PORT", address)};
    }
    std::string host = address.substr(0, colon);
    KVASIR_TRY(const std::uint16_t port, parse_port(address, address.substr(colon + 1)));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";
    TcpAddress parsed;
    in_addr v4{};
    in6_addr v6{};
    if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
        sockaddr_in target{};
        target.sin_family = AF_INET;
        target.sin_port = htons(port);
        target.sin_addr = v4;
        if ((ntohl(v4.s_addr) >> 24) != 127) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("{}: not a loopback address, expected 127.0.0.1 or [::1]", address)};
        }
        std::memcpy(&parsed.storage, &target, sizeof(target));
        parsed.length = sizeof(target);
        return parsed;
    }
    if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6)) {
        sockaddr_in6 target{};
        target.sin6_family = AF_INET6;
        target.sin6_port = htons(port);
        target.sin6_addr = v6;
        std::memcpy(&parsed.storage, &target, sizeof(target));
        parsed.length = sizeof(target);
        return parsed;
    }
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("{}: host \"{}\", expected 127.0.0.1, [::1] or localhost", address, host)};
}

}  // namespace

Result<ListeningSocket> ListeningSocket::open_unix(const std::string& path, unsigned mode) {
    KVASIR_TRY(const sockaddr_un address, unix_address(path));
    KVASIR_TRY(const int lock_fd, lock_directory(path));
    const Descriptor lock(lock_fd);
    KVASIR_TRY_VOID(remove_stale(path, address));
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() < 0) return io_error(path, "socket");
    // On Linux the descriptor's mode limits the file's, so it is never wider than asked, not even
    // before chmod.
    if (::fchmod(socket.get(), mode) != 0) return io_error(path, "fchmod");
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return errno == EADDRINUSE ? Error{ErrorCode::conflict, fmt::format("{}: in use", path)}
                                   : io_error(path, "bind");
    }
    ListeningSocket made(socket.release(), AF_UNIX);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return io_error(path, "cannot be examined");
    made.path_ = path;
    made.device_ = info.st_dev;
    made.inode_ = info.st_ino;
    if (::chmod(path.c_str(), mode) != 0) return io_error(path, "chmod");
    if (::listen(made.fd_, kBacklog) != 0) return io_error(path, "listen");
    return made;
}

Result<ListeningSocket> ListeningSocket::open_tcp(const std::string& address) {
    KVASIR_TRY(const TcpAddress parsed, parse_tcp(address));
    const int family = parsed.storage.ss_family;
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() < 0) return io_error(address, "socket");
    const int yes = 1;
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0)
        return io_error(address, "SO_REUSEADDR");
    const auto* raw = reinterpret_cast<const sockaddr*>(&parsed.storage);
    if (::bind(socket.get(), raw, parsed.length) != 0) {
        return errno == EADDRINUSE ? Error{ErrorCode::conflict,
                                           fmt::format("{}: in use by another program", address)}
                                   : io_error(address, "bind");
    }
    if (::listen(socket.get(), kBacklog) != 0) return io_error(address, "listen");
    return ListeningSocket(socket.release(), family);
}

Result<ListeningSocket> ListeningSocket::adopt(int fd) {
    const std::string subject = fmt::format("descriptor {}", fd);
    Descriptor socket(fd);
    int listening = 0;
    socklen_t length = sizeof(listening);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0)
        return Error{ErrorCode::invalid_argument, subject + ": not a listening stream socket"};
    int family = 0;
    length = sizeof(family);
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0)
        return io_error(subject, "SO_DOMAIN");
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return io_error(subject, "O_NONBLOCK");
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return io_error(subject, "FD_CLOEXEC");
    return ListeningSocket(socket.release(), family);
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      family_(other.family_),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

ListeningSocket& ListeningSocket::operator=(ListeningSocket&& other) noexcept {
    ListeningSocket old(std::move(*this));
    fd_ = std::exchange(other.fd_, -1);
    family_ = other.family_;
    path_ = std::exchange(other.path_, {});
    device_ = other.device_;
    inode_ = other.inode_;
    return *this;
}

ListeningSocket::~ListeningSocket() {
    remove_file();
    if (fd_ >= 0) ::close(fd_);
}

std::uint16_t ListeningSocket::port() const {
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
    if (address.ss_family == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return 0;
}

void ListeningSocket::remove_file() noexcept {
    struct stat info {};
    if (path_.empty() || ::lstat(path_.c_str(), &info) != 0) return;
    if (info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());
    path_.clear();
}

}  // namespace kvasir
