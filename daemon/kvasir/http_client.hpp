// HttpConnection: one request to the daemon over its Unix socket or TCP.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace kvasir::client {

struct Endpoint {
    std::string socket_path;  // where host is empty
    std::string host;
    std::string port;
    std::string api_key;  // sent as a bearer key where not empty

    std::string name() const;
};

/// `127.0.0.1:8080`, `[::1]:8080` or `http://host:port`. Errors: invalid_argument, unsupported
/// (https).
Result<Endpoint> parse_url(const std::string& url);

struct HttpRequest {
    std::string method;  // GET or POST
    std::string target;
    std::string body;  // JSON
};

struct HttpReply {
    unsigned status = 0;
    std::string body;        // empty where it was an event stream
    bool cancelled = false;  // the connection was closed, so the daemon drops the request
};

/// Takes pieces of an event stream as they come; false closes the connection.
using StreamSink = std::function<bool(std::string_view)>;

/// Carries one request. Not thread-safe; blocks.
class HttpConnection {
public:
    static constexpr std::size_t kMaxBodyBytes = std::size_t{64} << 20;

    /// Errors: io, with a sentence on what to look at.
    static Result<HttpConnection> open(const Endpoint& endpoint);
    HttpConnection(HttpConnection&&) noexcept;
    HttpConnection& operator=(HttpConnection&&) noexcept;
    ~HttpConnection();

    /// A 200 of type text/event-stream goes to the sink, anything else into the reply's body.
    /// Cancelled as soon as cancel_fd is readable (-1: never). Errors: io (the connection broke),
    /// corrupt (no HTTP), too_large (more than kMaxBodyBytes).
    Result<HttpReply> exchange(const HttpRequest& request, const StreamSink& sink, int cancel_fd);

private:
    struct Impl;
    explicit HttpConnection(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::client
