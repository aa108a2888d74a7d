// Connection's other half: answers, stopping, time.
#include <boost/asio/buffer.hpp>

#include "config/base/log.hpp"
#include "daemon/http/connection.hpp"
#include "daemon/http/response_head.hpp"

namespace kvasir {

using boost::system::error_code;

namespace {

constexpr std::size_t kKeptBytes = 4 << 10;  // capacity that a connection may keep between requests

void give_back(std::string& buffer) {
    if (buffer.empty() && buffer.capacity() > kKeptBytes) std::string().swap(buffer);
}

}  // namespace

void Connection::deliver(const Exchange* from, HttpResponse response) {
    if (phase_ != Phase::busy || from != exchange_ || source_ || answer_complete_) return;
    send_whole(std::move(response));
}

void Connection::take_source(const Exchange* from, std::shared_ptr<ResponseSource> source) {
    if (phase_ != Phase::busy || from != exchange_) return source->abandon();
    source_ = std::move(source);
    if (force_stopping_) source_->stop();
    pump();
}

void Connection::on_wake(const Exchange* from) {
    if (from == exchange_) pump();
}

/// Asks the source for more once the socket has taken what there was.
void Connection::pump() {
    if (phase_ != Phase::busy || !source_ || write_pending_ || answer_complete_) return;
    take_piece(source_->pull());
}

void Connection::take_piece(ResponseSource::Piece piece) {
    if (piece.drop) {
        ++context_->counters.n_slow_clients;
        log_warn("client does not keep up with its stream, closed", {{"request", request_id_}});
        return close();
    }
    if (piece.whole) return send_whole(std::move(*piece.whole));
    if (piece.open_stream) open_stream(piece.stream_type);
    append_stream_bytes(outbox_, piece.bytes, is_http_1_0_);
    if (piece.end) {
        append_stream_end(outbox_, is_http_1_0_);
        answer_complete_ = true;
    }
    write();
}

void Connection::send_whole(HttpResponse response) {
    keep_alive_ = keep_alive_ && !stopping_;
    context_->counters.count_response(route_, response.status);
    log_debug("answered",
              {{"request", request_id_}, {"route", route_}, {"status", response.status}});
    outbox_ += response_head(response, {request_id_, keep_alive_, is_http_1_0_});
    if (!head_only_) outbox_ += response.body;
    answer_complete_ = true;
    write();
}

void Connection::open_stream(const char* content_type) {
    streaming_ = true;
    keep_alive_ = keep_alive_ && !stopping_ && !is_http_1_0_;
    context_->counters.count_response(route_, 200);
    outbox_ += stream_head(content_type, {request_id_, keep_alive_, is_http_1_0_});
}

/// Gives the socket what there is; finishes the response when all of it is gone.
void Connection::write() {
    if (write_pending_ || phase_ == Phase::closed) return;
    if (n_written_ == writing_.size()) {
        writing_.clear();
        n_written_ = 0;
        if (outbox_.empty()) {
            if (answer_complete_) finish_response();
            return;
        }
        writing_.swap(outbox_);
    }
    write_pending_ = true;
    if (phase_ == Phase::busy) set_deadline(Deadline::write, context_->options.timeouts.write);
    socket_.async_write_some(
        boost::asio::buffer(writing_.data() + n_written_, writing_.size() - n_written_),
        [self = shared_from_this()](const error_code& ec, std::size_t n) {
            self->guard([&] { self->on_write(ec, n); });
        });
}

void Connection::on_write(const error_code& ec, std::size_t n) {
    write_pending_ = false;
    if (phase_ == Phase::closed) return;
    if (ec) return gone();
    n_written_ += n;
    if (n_written_ < writing_.size() || !outbox_.empty() || answer_complete_) return write();
    if (phase_ != Phase::busy) return;  // that was 100 Continue
    set_deadline(Deadline::tick, context_->options.timeouts.keep_alive);
    pump();
}

void Connection::finish_response() {
    source_.reset();
    exchange_ = nullptr;
    answer_complete_ = false;
    route_ = "other";
    if (!keep_alive_ || stopping_) return linger();
    phase_ = Phase::idle;
    give_back(writing_);
    give_back(outbox_);
    give_back(inbox_);
    set_deadline(Deadline::idle, context_->options.timeouts.idle);
    feed();
}

/// Closes the sending side and reads on for a moment: closing with unread input could take the
/// answer back.
void Connection::linger() {
    phase_ = Phase::linger;
    error_code ec;
    socket_.shutdown(Socket::shutdown_send, ec);
    if (ec || input_ended_) return close();
    std::string().swap(inbox_);
    set_deadline(Deadline::linger, context_->options.timeouts.linger);
    read();
}

void Connection::gone() {
    if (phase_ == Phase::busy) {
        ++context_->counters.n_clients_gone;
        log_debug("client left before its answer", {{"request", request_id_}});
    }
    close();
}

void Connection::close() {
    if (phase_ == Phase::closed) return;
    phase_ = Phase::closed;
    if (gone_) *gone_ = true;
    release_source();
    parser_.reset();
    error_code ec;
    socket_.close(ec);
    ++timer_generation_;
    timer_.cancel();
    end_bound_sessions();
    set_->remove(this);
}

void Connection::end_bound_sessions() {
    for (BoundSessions::Session& session : bound_sessions_->close()) {
        // An engine that is not there any more has no sessions either.
        (void)context_->engine->post([bound = std::move(session)](CacheControl& cache) {
            (void)cache.end_session({.domain = bound.domain}, bound.id);
        });
    }
}

void Connection::release_source() noexcept {
    const std::shared_ptr<ResponseSource> source = std::move(source_);
    source_.reset();
    if (source) source->abandon();
}

void Connection::on_begin_stop() {
    stopping_ = true;
    const bool is_waiting = phase_ == Phase::idle && inbox_.empty();
    if (is_waiting || phase_ == Phase::linger) close();
}

void Connection::on_force_stop() {
    stopping_ = true;
    force_stopping_ = true;
    if (phase_ != Phase::busy) return close();
    if (source_) source_->stop();
}

void Connection::set_deadline(Deadline kind, std::chrono::milliseconds wait) {
    deadline_kind_ = kind;
    deadline_ = Clock::now() + wait;
    // A deadline that moves away, the usual case, leaves the timer alone: it looks again when it
    // fires.
    if (!timer_pending_ || deadline_ < timer_expiry_) start_timer();
}

void Connection::start_timer() {
    timer_pending_ = true;
    timer_expiry_ = deadline_;
    timer_.expires_at(deadline_);
    timer_.async_wait(
        [self = shared_from_this(), generation = ++timer_generation_](const error_code&) {
            if (generation != self->timer_generation_ || self->phase_ == Phase::closed) return;
            self->timer_pending_ = false;
            self->guard([&] {
                if (Clock::now() < self->deadline_) {
                    self->start_timer();
                } else {
                    self->on_deadline();
                }
            });
        });
}

void Connection::on_deadline() {
    switch (deadline_kind_) {
        case Deadline::request:
            ++context_->counters.n_timed_out;
            if (phase_ == Phase::idle) return close();  // not a byte came
            return reject({ErrorKind::request_timeout, "the request did not arrive in time", {}});
        case Deadline::write:
            ++context_->counters.n_slow_clients;
            log_warn("client stopped reading, closed", {{"request", request_id_}});
            return close();
        case Deadline::tick:
            set_deadline(Deadline::tick, context_->options.timeouts.keep_alive);
            if (source_ && !write_pending_ && !answer_complete_) take_piece(source_->keep_alive());
            return;
        case Deadline::idle:
        case Deadline::linger: return close();
    }
}

}  // namespace kvasir
