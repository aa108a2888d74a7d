#include "daemon/http/connection.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include "config/base/log.hpp"
#include "daemon/http/access.hpp"
#include "daemon/http/connection_exchange.hpp"
#include "daemon/http/ollama_error.hpp"
#include "daemon/http/routes.hpp"

namespace kvasir {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes =
    16 << 10;  // at once; beyond a header, pipelined requests wait in as much
constexpr std::chrono::milliseconds kReservedTimeout{2'000};
constexpr std::string_view kOutOfMemoryAnswer =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n"
    R"({"error":{"message":"out of memory for this request","type":"server_error",)"
    R"("param":null,"code":"out_of_memory"}})";

}  // namespace

Connection::Connection(asio::io_context& io, std::shared_ptr<ServerContext> context,
                       std::shared_ptr<ConnectionSet> set, AcceptedSocket accepted)
    : context_(std::move(context)),
      set_(std::move(set)),
      accepted_(accepted),
      strand_(asio::make_strand(io)),
      socket_(strand_),
      timer_(strand_) {
    ++context_->counters.n_connections;
}

Connection::~Connection() {
    release_source();
    set_->remove(this);
    if (accepted_.fd >= 0) ::close(accepted_.fd);
    --context_->counters.n_connections;
}

void Connection::out_of_memory() noexcept {
    // Straight to the socket: whatever allocates would fail again.
    if (phase_ != Phase::closed && !write_pending_ && !streaming_) {
        (void)::send(socket_.native_handle(), kOutOfMemoryAnswer.data(), kOutOfMemoryAnswer.size(),
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    failed("out of memory");
}

void Connection::failed(const char* what) noexcept {
    try {
        close();
        log_error("connection failed", {{"what", what}});
    } catch (...) {  // without memory there is no log line either
    }
}

void Connection::on_start() {
    set_->add(this, weak_from_this());
    error_code ec;
    socket_.assign(asio::generic::stream_protocol(accepted_.family, 0), accepted_.fd, ec);
    if (!ec) accepted_.fd = -1;
    if (!ec) socket_.non_blocking(true, ec);
    if (ec || stopping_ || context_->stopping) return close();
    set_deadline(Deadline::request, header_timeout());
    read();
}

std::chrono::milliseconds Connection::header_timeout() const {
    const std::chrono::milliseconds timeout = context_->options.timeouts.header;
    return accepted_.reserved ? std::min(timeout, kReservedTimeout) : timeout;
}

void Connection::read() {
    if (read_pending_ || phase_ == Phase::closed) return;
    if (phase_ == Phase::busy && (input_ended_ || inbox_.size() >= kReadBytes))
        return watch_hangup();
    read_pending_ = true;
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& ec) {
        self->read_pending_ = false;
        if (self->phase_ == Phase::closed) return;
        self->guard([&] { ec ? self->gone() : self->on_readable(); });
    });
}

void Connection::on_readable() {
    std::array<char, kReadBytes> bytes;
    error_code ec;
    const std::size_t n = socket_.read_some(asio::buffer(bytes), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) return read();
    if (ec == asio::error::eof) return on_input_end();
    if (ec) return gone();
    if (phase_ == Phase::linger) return read();  // what was still on its way is dropped
    inbox_.append(bytes.data(), n);
    if (phase_ == Phase::busy) return read();
    feed();
}

void Connection::on_input_end() {
    input_ended_ = true;
    if (phase_ != Phase::busy) return close();
    // Over a Unix socket a client that closed only its sending side can be told from one that left;
    // not over TCP.
    if (accepted_.family != AF_UNIX) return gone();
    watch_hangup();
}

void Connection::watch_hangup() {
    if (!watching_hangup_) {
        watching_hangup_ = true;
        socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const error_code& ec) {
            self->watching_hangup_ = false;
            if (!ec && self->phase_ == Phase::busy && self->hung_up())
                self->guard([&] { self->gone(); });
        });
    }
    if (hung_up()) gone();  // it may have come before the wait was armed
}

bool Connection::hung_up() {
    pollfd state{socket_.native_handle(), 0, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

void Connection::feed() {
    while (feed_once()) {
    }
}

/// One step of parsing. True: what is left in the inbox may give another.
bool Connection::feed_once() {
    if (phase_ != Phase::idle && phase_ != Phase::header && phase_ != Phase::body) return false;
    if (inbox_.empty()) {
        wait_for_more();
        return false;
    }
    if (phase_ == Phase::idle) begin_request();
    const RequestParser::Progress progress = parser_->put(inbox_);
    inbox_.erase(0, progress.n_consumed);
    if (progress.error) {
        reject(*progress.error);
        return false;
    }
    if (phase_ == Phase::header && parser_->header_done()) {
        take_header();
        if (phase_ != Phase::body) return false;
    }
    if (parser_->done()) {
        dispatch();
        return false;
    }
    if (progress.n_consumed != 0) return true;
    wait_for_more();
    return false;
}

void Connection::wait_for_more() {
    if (input_ended_) return close();
    // The parser bounds headers and bodies; what it leaves here unread is a chunk's head without
    // end.
    if (phase_ == Phase::body && inbox_.size() >= kReadBytes)
        return reject({ErrorKind::invalid_request, "HTTP: a chunk's header is too long", {}});
    read();
}

void Connection::begin_request() {
    phase_ = Phase::header;
    parser_ = std::make_unique<RequestParser>(*context_);
    request_id_ = make_id("req_");
    is_http_1_0_ = false;
    head_only_ = false;
    keep_alive_ = false;
    if (deadline_kind_ != Deadline::request) set_deadline(Deadline::request, header_timeout());
}

void Connection::take_header() {
    keep_alive_ = parser_->keep_alive() && !accepted_.reserved;
    is_http_1_0_ = parser_->is_http_1_0();
    if (const std::optional<ApiError> error = parser_->check_header()) return reject(*error);
    HttpRequest request = parser_->describe();
    request.over_tcp = accepted_.family != AF_UNIX;
    head_only_ = request.method == "HEAD";
    // Before its body is taken in.
    if (const std::optional<ApiError> denied =
            check_access(context_->options, request, request.path == "/health"))
        return reject(*denied);
    phase_ = Phase::body;
    if (!accepted_.reserved) set_deadline(Deadline::request, context_->options.timeouts.body);
    if (parser_->expects_continue() && !parser_->done() && inbox_.empty()) {
        outbox_ += "HTTP/1.1 100 Continue\r\n\r\n";
        write();
    }
}

Peer Connection::peer() {
    constexpr std::size_t kMostGroups = 65536;  // as many as the system allows
    Peer peer;
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    const int fd = socket_.native_handle();
    if (accepted_.family != AF_UNIX ||
        ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return peer;
    peer.uid = credentials.uid;
    if (!context_->options.domains.needs_groups()) return peer;
    peer.groups.resize(32);
    int status = -1;
    while (peer.groups.size() <= kMostGroups) {
        length = static_cast<socklen_t>(peer.groups.size() * sizeof(peer.groups[0]));
        status = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &length);
        if (status == 0 || errno != ERANGE) break;
        peer.groups.resize(peer.groups.size() * 2);
    }
    peer.groups.resize(status == 0 ? length / sizeof(peer.groups[0]) : 0);
    peer.groups.push_back(credentials.gid);
    return peer;
}

void Connection::dispatch() {
    HttpRequest request = parser_->describe();
    request.body = parser_->take_body();
    request.id = request_id_;
    request.over_tcp = accepted_.family != AF_UNIX;
    request.peer = peer();
    request.reserved = accepted_.reserved;
    request.bound_sessions = bound_sessions_;
    parser_.reset();
    phase_ = Phase::busy;
    streaming_ = false;
    gone_ = std::make_shared<std::atomic<bool>>(false);
    const auto exchange =
        std::make_shared<ConnectionExchange>(std::move(request), weak_from_this(), gone_);
    exchange_ = exchange.get();
    set_deadline(Deadline::tick, context_->options.timeouts.keep_alive);
    route_request(context_, exchange);
    route_ = exchange->request().route;
    read();
}

/// Answers before the request is complete, and closes: where the next one begins is unknown.
void Connection::reject(const ApiError& error) {
    const std::string path = parser_ ? parser_->describe().path : std::string();
    parser_.reset();
    phase_ = Phase::busy;
    keep_alive_ = false;
    streaming_ = false;
    exchange_ = nullptr;
    route_ = "rejected";
    send_whole(error_response_at(path, error));
}

}  // namespace kvasir
