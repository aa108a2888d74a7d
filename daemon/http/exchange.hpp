// One HTTP request and the way its answer goes back. Handlers see this, never a socket.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/http/domain_table.hpp"
#include "daemon/http/request_body.hpp"

namespace kvasir {

/// Sessions that end with their connection: created with "bind": "connection". Any thread.
class BoundSessions {
public:
    struct Session {
        std::uint32_t domain = 0;
        std::string id;
    };
    /// False: the connection has closed already.
    bool add(Session session) {
        const std::lock_guard lock(mutex_);
        if (!closed_) sessions_.push_back(std::move(session));
        return !closed_;
    }
    /// The connection closes: what was bound to it, once.
    std::vector<Session> close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        return std::exchange(sessions_, {});
    }

private:
    std::mutex mutex_;
    bool closed_ = false;
    std::vector<Session> sessions_;
};

struct HttpRequest {
    std::string id;      // ours, unique in this process
    std::string method;  // as sent: "GET"
    std::string path;    // without the query
    RequestBody body;
    std::string host;           // the header, for TCP
    std::string authorization;  // the header, for TCP
    std::string session_id;     // the header X-Session-Id
    std::string path_id;  // what stands for {} in the route's path, decoded; set by the router
    std::shared_ptr<BoundSessions> bound_sessions;
    bool over_tcp = false;
    Peer peer;                    // the process that connected, where the socket tells
    bool reserved = false;        // on a connection beyond the limit: state requests alone
    const char* route = "other";  // for counting, set by the router
};

constexpr const char* kEventStream = "text/event-stream; charset=utf-8";
constexpr const char* kEventComment = ": still working\n\n";  // readers of events skip it

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  // beyond the usual ones
};

/// Produces an answer piece by piece, whole or as a stream of events. The connection pulls when its
/// socket has room, so a client that does not read holds back its own source only.
class ResponseSource {
public:
    struct Piece {
        std::optional<HttpResponse> whole;       // this is the answer; nothing follows
        bool open_stream = false;                // from now on the answer is a stream
        const char* stream_type = kEventStream;  // with open_stream: its Content-Type
        std::string bytes;                       // of the stream
        bool end = false;                        // the stream is complete
        bool drop = false;                       // the client is too slow: close, do not finish
    };
    virtual ~ResponseSource() = default;
    /// Called on the connection's strand, never concurrently. Empty piece: nothing yet; wake()
    /// follows.
    virtual Piece pull() = 0;
    /// Nothing to pull for a while: a sign of life for the stream, opening it if need be. Strand.
    virtual Piece keep_alive() = 0;
    /// The server is going down: end soon with an error. Strand.
    virtual void stop() = 0;
    /// Nobody listens any more. Any thread; no wake() follows once it has returned.
    virtual void abandon() noexcept = 0;
};

/// Any thread. Exactly one of reply and attach; an Exchange destroyed without either answers 500.
class Exchange {
public:
    explicit Exchange(HttpRequest request) : request_(std::move(request)) {}
    virtual ~Exchange() = default;
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    const HttpRequest& request() const { return request_; }
    void set_route(const char* route, std::string path_id) {
        request_.route = route;
        request_.path_id = std::move(path_id);
    }
    /// The body is only needed until it is parsed.
    RequestBody take_body() { return std::move(request_.body); }

    virtual void reply(HttpResponse response) = 0;
    virtual void attach(std::shared_ptr<ResponseSource> source) = 0;
    /// The attached source has something to pull. Cheap, never blocks.
    virtual void wake() = 0;
    /// True once the client has gone: the work can be dropped.
    virtual bool gone() const = 0;

private:
    HttpRequest request_;
};

}  // namespace kvasir
