// The test client itself, which the other files of this room use.
#include <algorithm>
#include <arpa/inet.h>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include "tests/http/raw_client.hpp"

namespace kvasir::testing {

namespace {

using Clock = std::chrono::steady_clock;

bool wait_for(int fd, short events, Clock::time_point until) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd state{fd, events, 0};
    return left > 0 && ::poll(&state, 1, static_cast<int>(left)) > 0;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

void read_head(const std::string& head, RawResponse& response) {
    response.status = std::atoi(head.substr(head.find(' ') + 1).c_str());
    std::size_t from = head.find("\r\n") + 2;
    while (from < head.size()) {
        const std::size_t end = head.find("\r\n", from);
        const std::size_t colon = head.find(": ", from);
        if (end == std::string::npos || colon == std::string::npos || colon > end) return;
        response.headers[lower(head.substr(from, colon - from))] =
            head.substr(colon + 2, end - colon - 2);
        from = end + 2;
    }
}

/// Moves whole chunks from buffer to body. True at the last one.
bool take_chunks(std::string& buffer, std::string& body) {
    while (true) {
        const std::size_t line = buffer.find("\r\n");
        if (line == std::string::npos) return false;
        const std::size_t size = std::stoul(buffer.substr(0, line), nullptr, 16);
        if (buffer.size() < line + 2 + size + 2) return false;
        body += buffer.substr(line + 2, size);
        buffer.erase(0, line + 2 + size + 2);
        if (size == 0) return true;
    }
}

}  // namespace

RawClient RawClient::connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        ::close(fd);
        return RawClient(-1);
    }
    return RawClient(fd);
}

RawClient RawClient::connect_tcp(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        ::close(fd);
        return RawClient(-1);
    }
    return RawClient(fd);
}

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

RawClient::~RawClient() {
    close();
}

void RawClient::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void RawClient::end_sending() {
    ::shutdown(fd_, SHUT_WR);
}

bool RawClient::send(std::string_view bytes, Time timeout) {
    const auto until = Clock::now() + timeout;
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno != EAGAIN || !wait_for(fd_, POLLOUT, until)) {
            return false;
        }
    }
    return true;
}

RawClient::Got RawClient::receive(Clock::time_point until) {
    char bytes[16384];
    if (!wait_for(fd_, POLLIN, until)) return Got::timeout;
    const ssize_t n = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (n <= 0) return Got::end;
    buffer_.append(bytes, static_cast<std::size_t>(n));
    return Got::bytes;
}

bool RawClient::read_until(std::string_view text, Time timeout) {
    const auto until = Clock::now() + timeout;
    while (buffer_.find(text) == std::string::npos)
        if (receive(until) != Got::bytes) return false;
    return true;
}

bool RawClient::closed_within(Time timeout) {
    const auto until = Clock::now() + timeout;
    while (true) {
        const Got got = receive(until);
        if (got != Got::bytes) return got == Got::end;
    }
}

RawResponse RawClient::read_response(Time timeout, bool to_head) {
    const auto until = Clock::now() + timeout;
    RawResponse response;
    if (!read_until("\r\n\r\n", timeout)) return response;
    const std::size_t head = buffer_.find("\r\n\r\n") + 4;
    read_head(buffer_.substr(0, head), response);
    buffer_.erase(0, head);
    if (const auto coding = response.headers.find("transfer-encoding");
        coding != response.headers.end() && coding->second == "chunked") {
        while (!(response.complete = take_chunks(buffer_, response.body)))
            if (receive(until) != Got::bytes) return response;
        return response;
    }
    const auto length = response.headers.find("content-length");
    if (to_head || length == response.headers.end()) {
        if (!to_head) {
            while (receive(until) == Got::bytes) {
            }
            response.body = std::exchange(buffer_, {});
        }
        response.complete = true;
        return response;
    }
    const std::size_t n = std::stoul(length->second);
    while (buffer_.size() < n)
        if (receive(until) != Got::bytes) return response;
    response.body = buffer_.substr(0, n);
    buffer_.erase(0, n);
    response.complete = true;
    return response;
}

std::string post_request(std::string_view path, std::string_view body,
                         std::string_view more_headers) {
    std::string request = "POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n";
    request += "Content-Type: application/json\r\n" + std::string(more_headers);
    request += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    return request + std::string(body);
}

RawResponse RawClient::get(std::string_view path, Time timeout) {
    send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return read_response(timeout);
}

RawResponse RawClient::post(std::string_view path, std::string_view body, Time timeout) {
    send(post_request(path, body));
    return read_response(timeout);
}

}  // namespace kvasir::testing

using kvasir::testing::RawClient;

BOOST_AUTO_TEST_SUITE(raw_client)

BOOST_AUTO_TEST_CASE(an_absent_socket_is_not_connected) {
    BOOST_TEST(!RawClient::connect_unix("/nonexistent/kvasir.sock").connected());
}

BOOST_AUTO_TEST_SUITE_END()
