// A client that does what it is told, also what no proper client would: raw bytes over a socket,
// with time limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::testing {

struct RawResponse {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;                            // chunks joined
    bool complete = false;                       // else the connection or the time ended first
};

class RawClient {
public:
    using Time = std::chrono::milliseconds;

    static RawClient connect_unix(const std::string& path);
    static RawClient connect_tcp(std::uint16_t port);
    RawClient(RawClient&& other) noexcept;
    RawClient& operator=(RawClient&&) = delete;
    ~RawClient();

    bool connected() const { return fd_ >= 0; }
    /// False when the other side does not take it all in time.
    bool send(std::string_view bytes, Time timeout = Time(10'000));
    void end_sending();  // half-close
    void close();

    RawResponse read_response(Time timeout = Time(10'000), bool to_head = false);
    /// Reads until text has come; what was received so far stays in received().
    bool read_until(std::string_view text, Time timeout = Time(10'000));
    /// True when the other side closes within the time; reads and drops what comes.
    bool closed_within(Time timeout);
    const std::string& received() const { return buffer_; }

    RawResponse get(std::string_view path, Time timeout = Time(10'000));
    RawResponse post(std::string_view path, std::string_view body, Time timeout = Time(10'000));

private:
    explicit RawClient(int fd) : fd_(fd) {}
    enum class Got { bytes, end, timeout };
    Got receive(std::chrono::steady_clock::time_point until);

    int fd_ = -1;
    std::string buffer_;
};

std::string post_request(std::string_view path, std::string_view body,
                         std::string_view more_headers = {});

}  // namespace kvasir::testing
