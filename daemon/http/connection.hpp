// One client's connection: reads requests, passes them to the routes, writes the answers. Sockets
// stay in here. connection.cpp reads, connection_answer.cpp answers and keeps time.
#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "daemon/http/connection_set.hpp"
#include "daemon/http/exchange.hpp"
#include "daemon/http/request_parser.hpp"
#include "daemon/http/server_context.hpp"

namespace kvasir {

struct AcceptedSocket {
    int fd = -1;
    int family = 0;
    bool reserved = false;  // beyond the limit: state requests alone
};

/// Phases: idle -> header -> body -> busy -> idle ..., and linger or closed at the end. One request
/// at a time; the socket is watched while it is answered, so that a client's departure is noticed
/// and pipelined requests arrive. No buffer is held while waiting. Everything runs on the strand,
/// except what says otherwise.
class Connection final : public StoppableConnection,
                         public std::enable_shared_from_this<Connection> {
public:
    /// Takes the socket over if it returns.
    Connection(boost::asio::io_context& io, std::shared_ptr<ServerContext> context,
               std::shared_ptr<ConnectionSet> set, AcceptedSocket accepted);
    ~Connection() override;

    // Any thread.
    void start() { on_strand(&Connection::on_start); }
    void begin_stop() override { on_strand(&Connection::on_begin_stop); }
    void force_stop() override { on_strand(&Connection::on_force_stop); }
    void close_now() override { on_strand(&Connection::close); }
    template <class Action>
    void post(Action action) {
        boost::asio::post(strand_,
                          [self = shared_from_this(), action = std::move(action)]() mutable {
                              self->guard([&] { action(*self); });
                          });
    }

    // For the exchange that is being answered; ignored from any other.
    void deliver(const Exchange* from, HttpResponse response);
    void take_source(const Exchange* from, std::shared_ptr<ResponseSource> source);
    void on_wake(const Exchange* from);

private:
    using Clock = std::chrono::steady_clock;
    using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;
    using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Strand>;
    using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Strand>;
    enum class Phase { idle, header, body, busy, linger, closed };
    enum class Deadline { request, idle, write, tick, linger };

    void on_strand(void (Connection::*action)()) {
        post([action](Connection& self) { (self.*action)(); });
    }
    /// Libraries throw; here that costs one connection.
    template <class Action>
    void guard(Action action) noexcept {
        try {
            action();
        } catch (const std::bad_alloc&) {
            out_of_memory();
        } catch (const std::exception& e) {
            failed(e.what());
        }
    }
    void out_of_memory() noexcept;
    void failed(const char* what) noexcept;

    void on_start();
    void read();
    void on_readable();
    void on_input_end();
    void feed();
    bool feed_once();
    void wait_for_more();
    void begin_request();
    void take_header();
    Peer peer();
    void dispatch();
    void reject(const ApiError& error);
    void watch_hangup();
    bool hung_up();

    void pump();
    void take_piece(ResponseSource::Piece piece);
    void send_whole(HttpResponse response);
    void open_stream(const char* content_type);
    void write();
    void on_write(const boost::system::error_code& ec, std::size_t n);
    void finish_response();
    void linger();
    void gone();
    void close();
    void end_bound_sessions();
    void release_source() noexcept;
    void on_begin_stop();
    void on_force_stop();

    void set_deadline(Deadline kind, std::chrono::milliseconds wait);
    void start_timer();
    void on_deadline();
    std::chrono::milliseconds header_timeout() const;

    const std::shared_ptr<ServerContext> context_;
    const std::shared_ptr<ConnectionSet> set_;
    AcceptedSocket accepted_;
    Strand strand_;
    Socket socket_;
    Timer timer_;

    Phase phase_ = Phase::idle;
    std::string inbox_;  // received, not yet parsed
    std::unique_ptr<RequestParser> parser_;
    bool read_pending_ = false;
    bool input_ended_ = false;
    bool watching_hangup_ = false;
    bool stopping_ = false;
    bool force_stopping_ = false;

    const std::shared_ptr<BoundSessions> bound_sessions_ = std::make_shared<BoundSessions>();

    // Of the request being answered.
    std::shared_ptr<std::atomic<bool>> gone_;
    const Exchange* exchange_ = nullptr;  // identity only
    const char* route_ = "other";
    std::string request_id_;
    bool keep_alive_ = false;
    bool is_http_1_0_ = false;
    bool head_only_ = false;
    bool streaming_ = false;
    bool answer_complete_ = false;  // once written, the response is finished
    std::shared_ptr<ResponseSource> source_;

    std::string outbox_;   // not yet given to the socket
    std::string writing_;  // given
    std::size_t n_written_ = 0;
    bool write_pending_ = false;

    Deadline deadline_kind_ = Deadline::request;
    Clock::time_point deadline_ = Clock::time_point::max();
    Clock::time_point timer_expiry_ = Clock::time_point::max();
    bool timer_pending_ = false;
    std::uint64_t timer_generation_ = 0;
};

}  // namespace kvasir
