// FakeServer: an HTTP server whose every byte a test decides.
#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace kvasir::test {

class FakeServer {
public:
    struct Request {
        std::string head;  // request line and header fields
        std::string body;
    };

    /// The server's end of one connection.
    class Peer {
    public:
        explicit Peer(int fd) : fd_(fd) {}
        bool send(std::string_view bytes) {
            while (!bytes.empty()) {
                const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (n <= 0) return false;
                bytes.remove_prefix(static_cast<std::size_t>(n));
            }
            return true;
        }
        bool send_json(int status, const std::string& body) {
            return send("HTTP/1.1 " + std::to_string(status) +
                        " X\r\nContent-Type: application/json\r\n" +
                        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        }
        bool begin_events() {
            return send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
        }
        bool send_event(const std::string& data) {
            const std::string text = "data: " + data + "\n\n";
            char size[32];
            std::snprintf(size, sizeof size, "%zx\r\n", text.size());
            return send(size + text + "\r\n");
        }
        bool end_events() { return send_event("[DONE]") && send("0\r\n\r\n"); }
        /// Whether the client closes within the time.
        bool wait_closed(int timeout_ms) {
            char bytes[4096];
            while (true) {
                pollfd ready{fd_, POLLIN, 0};
                if (::poll(&ready, 1, timeout_ms) <= 0) return false;
                if (::recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
            }
        }
        std::string read_some() {
            char bytes[65536];
            const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
            return n <= 0 ? std::string() : std::string(bytes, static_cast<std::size_t>(n));
        }

    private:
        int fd_;
    };

    using Handler = std::function<void(const Request&, Peer&)>;
    enum class Transport { unix_socket, tcp };

    /// The handler runs on a thread of its own for each connection, after the whole request came,
    /// or after its head where reads_body is false.
    explicit FakeServer(Handler handler, Transport transport = Transport::unix_socket,
                        bool reads_body = true)
        : handler_(std::move(handler)), reads_body_(reads_body) {
        if (transport == Transport::unix_socket) {
            static std::atomic<int> n_servers{0};
            path_ = "/tmp/kvasir-test-" + std::to_string(::getpid()) + "-" +
                    std::to_string(n_servers++);
            listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
            ::unlink(path_.c_str());
            ok_ = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        } else {
            listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            ok_ = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
            socklen_t size = sizeof address;
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
            path_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        }
        ok_ = ok_ && ::listen(listener_, 16) == 0;
        acceptor_ = std::thread([this] { accept_all(); });
    }

    ~FakeServer() {
        ::shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        ::close(listener_);
        {
            const std::lock_guard lock(mutex_);
            for (const int fd : connections_) ::shutdown(fd, SHUT_RDWR);
        }
        for (std::thread& thread : threads_) thread.join();
        for (const int fd : connections_) ::close(fd);
        if (path_.starts_with('/')) ::unlink(path_.c_str());
    }
    FakeServer(const FakeServer&) = delete;
    FakeServer& operator=(const FakeServer&) = delete;

    bool is_ok() const { return ok_; }
    /// The socket's path, or HOST:PORT.
    const std::string& address() const { return path_; }
    std::vector<Request> requests() {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    void accept_all() {
        while (true) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            {
                const std::lock_guard lock(mutex_);
                connections_.push_back(fd);
            }
            threads_.emplace_back([this, fd] { serve(fd); });
        }
    }

    void serve(int fd) {
        Peer peer(fd);
        Request request;
        std::string bytes;
        std::size_t end = std::string::npos;
        while (end == std::string::npos) {
            const std::string piece = peer.read_some();
            if (piece.empty()) return;
            bytes += piece;
            end = bytes.find("\r\n\r\n");
        }
        request.head = bytes.substr(0, end);
        request.body = bytes.substr(end + 4);
        const std::size_t field = request.head.find("Content-Length: ");
        const std::size_t length =
            field == std::string::npos ? 0 : std::stoul(request.head.substr(field + 16));
        while (reads_body_ && request.body.size() < length) {
            const std::string piece = peer.read_some();
            if (piece.empty()) return;
            request.body += piece;
        }
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request);
        }
        handler_(request, peer);
        ::shutdown(fd, SHUT_RDWR);
    }

    Handler handler_;
    bool reads_body_ = true;
    bool ok_ = false;
    std::string path_;
    int listener_ = -1;
    std::mutex mutex_;
    std::vector<int> connections_;  // closed at the end only, so that no number is reused meanwhile
    std::vector<Request> requests_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

}  // namespace kvasir::test
