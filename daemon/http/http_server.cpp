#include "daemon/http/http_server.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdlib>
#include <exception>
#include <fmt/format.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "config/base/log.hpp"
#include "daemon/http/connection.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/listener.hpp"
#include "daemon/http/response_head.hpp"
#include "daemon/http/routes.hpp"

namespace kvasir {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kForcedGrace{2'000};  // for the error events of a forced stop

/// Says 503 without reading the request, and closes.
void turn_away(ServerContext& context, int fd) {
    ++context.counters.n_refused;
    try {
        const HttpResponse response = error_response(
            {ErrorKind::too_many_connections, "too many connections, try again", {}});
        const std::string bytes = response_head(response, {}) + response.body;
        (void)::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        ::shutdown(fd, SHUT_WR);
    } catch (const std::bad_alloc&) {  // then it is closed without a word
    }
    ::close(fd);
}

}  // namespace

struct HttpServer::Impl {
    Impl(HttpOptions options, std::shared_ptr<GenerationEngine> engine,
         std::shared_ptr<ItemMemory> items)
        : io(static_cast<int>(options.n_io_threads)),
          workers(options.n_workers),
          context(std::make_shared<ServerContext>()),
          connections(std::make_shared<ConnectionSet>()),
          drain_timer(io) {
        context->options = std::move(options);
        context->engine = std::move(engine);
        context->items = std::move(items);
        context->run_on_worker = [this](std::function<void()> work) {
            asio::post(workers, [work = std::move(work)] {
                try {
                    work();
                } catch (const std::exception& e) {  // the exchange it dropped answers 500
                    log_error("worker", {{"what", e.what()}});
                }
            });
        };
    }

    Result<> open_sockets();
    void add_listener(ListeningSocket socket);
    void accept(int fd, int family);
    void run_threads();
    void begin_stop();
    void force_stop();
    void shut_down();

    asio::io_context io;
    asio::thread_pool workers;
    const std::shared_ptr<ServerContext> context;
    const std::shared_ptr<ConnectionSet> connections;
    asio::steady_timer drain_timer;
    std::vector<std::shared_ptr<Listener>> listeners;
    std::vector<std::thread> threads;
    std::atomic<bool> forced{false};
    std::uint16_t tcp_port = 0;
};

void HttpServer::Impl::add_listener(ListeningSocket socket) {
    if (socket.family() != AF_UNIX) tcp_port = socket.port();
    listeners.push_back(std::make_shared<Listener>(
        io, std::move(socket), [this](int fd, int family) { accept(fd, family); }));
}

Result<> HttpServer::Impl::open_sockets() {
    HttpOptions& options = context->options;
    for (const int fd : std::exchange(options.inherited_sockets, {})) {
        KVASIR_TRY(ListeningSocket socket, ListeningSocket::adopt(fd));
        add_listener(std::move(socket));
    }
    if (!options.socket_path.empty()) {
        KVASIR_TRY(ListeningSocket socket,
                   ListeningSocket::open_unix(options.socket_path, options.socket_mode));
        add_listener(std::move(socket));
    }
    if (!options.listen.empty()) {
        KVASIR_TRY(ListeningSocket socket, ListeningSocket::open_tcp(options.listen));
        add_listener(std::move(socket));
    }
    if (listeners.empty()) {
        return Error{ErrorCode::invalid_argument,
                     "no socket to listen on: neither a path nor an address"};
    }
    if (tcp_port != 0 && options.api_keys.empty()) {
        return Error{ErrorCode::invalid_argument,
                     "listening on TCP needs a key file: any user of this machine could connect"};
    }
    return {};
}

void HttpServer::Impl::accept(int fd, int family) {
    const HttpLimits& limits = context->options.limits;
    ++context->counters.n_accepted;
    const std::uint64_t n_open = context->counters.n_connections;
    if (n_open >= limits.n_connections + limits.n_reserved_connections)
        return turn_away(*context, fd);
    std::shared_ptr<Connection> connection;
    try {
        connection = std::make_shared<Connection>(
            io, context, connections, AcceptedSocket{fd, family, n_open >= limits.n_connections});
    } catch (const std::bad_alloc&) {
        return turn_away(*context, fd);
    }
    connection->start();
}

void HttpServer::Impl::run_threads() {
    for (const std::shared_ptr<Listener>& listener : listeners) listener->start();
    for (unsigned i = 0; i < context->options.n_io_threads; ++i) {
        threads.emplace_back([this] {
            const auto work = asio::make_work_guard(io);
            while (!io.stopped()) {
                try {
                    io.run();
                } catch (const std::exception& e) {  // one handler's; the others go on
                    log_error("io thread", {{"what", e.what()}});
                }
            }
        });
    }
}

void HttpServer::Impl::begin_stop() {
    if (context->stopping.exchange(true)) return;
    for (const std::shared_ptr<Listener>& listener : listeners) listener->stop();
    connections->for_each(&StoppableConnection::begin_stop);
    asio::post(io, [this] {
        drain_timer.expires_after(context->options.timeouts.drain);
        drain_timer.async_wait([this](const boost::system::error_code& ec) {
            if (!ec) force_stop();
        });
    });
}

void HttpServer::Impl::force_stop() {
    if (forced.exchange(true)) return;
    connections->for_each(&StoppableConnection::force_stop);
    asio::post(io, [this] {
        drain_timer.expires_after(kForcedGrace);
        drain_timer.async_wait([this](const boost::system::error_code& ec) {
            if (!ec) connections->for_each(&StoppableConnection::close_now);
        });
    });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpOptions options,
                                                      std::shared_ptr<GenerationEngine> engine,
                                                      std::shared_ptr<ItemMemory> items) {
    process_start_seconds();
    auto impl = std::make_unique<Impl>(std::move(options), std::move(engine), std::move(items));
    KVASIR_TRY_VOID(impl->open_sockets());
    impl->run_threads();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::Impl::shut_down() {
    begin_stop();
    workers.stop();
    workers.join();
    connections->for_each(&StoppableConnection::close_now);
    // Closing abandons what runs: after it the engine cannot reach a connection any more.
    while (!connections->wait_empty(std::chrono::milliseconds(100)))
        connections->for_each(&StoppableConnection::close_now);
    io.stop();
    for (std::thread& thread : threads) thread.join();
}

HttpServer::~HttpServer() {
    try {
        impl_->shut_down();
    } catch (const std::exception& e) {  // its threads would go on in what is being destroyed
        log_error("the server cannot be stopped", {{"what", e.what()}});
        std::abort();
    }
}

void HttpServer::begin_stop() {
    impl_->begin_stop();
}
void HttpServer::stop_now() {
    impl_->begin_stop();
    impl_->force_stop();
}

bool HttpServer::wait_stopped(std::chrono::milliseconds timeout) {
    return impl_->connections->wait_empty(timeout);
}

std::uint16_t HttpServer::tcp_port() const {
    return impl_->tcp_port;
}
std::size_t HttpServer::n_connections() const {
    return impl_->connections->size();
}

}  // namespace kvasir
