#include "daemon/kvasir/http_client.hpp"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <optional>
#include <sys/un.h>
#include <utility>

namespace kvasir::client {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

std::string Endpoint::name() const {
    if (host.empty()) return socket_path;
    return host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port;
}

Result<Endpoint> parse_url(const std::string& url) {
    const auto bad = [&url](const char* expected) {
        return Error{ErrorCode::invalid_argument,
                     "--url: found `" + url + "`, expected " + std::string(expected)};
    };
    std::string_view rest = url;
    if (rest.starts_with("https://")) {
        return Error{ErrorCode::unsupported,
                     "--url: https is not spoken, expected http://HOST:PORT"};
    }
    if (rest.starts_with("http://")) rest.remove_prefix(7);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos) return bad("HOST:PORT");
    std::string_view host = rest.substr(0, colon);
    const std::string_view port = rest.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return bad("an IPv6 address in brackets");
    }
    unsigned number = 0;
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (ec != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535) {
        return bad("a port between 1 and 65535");
    }
    if (host.empty() || host.find_first_of("/@ \t\r\n") != std::string_view::npos) {
        return bad("HOST:PORT");
    }
    return Endpoint{{}, std::string(host), std::string(port), {}};
}

namespace {

Error connect_error(const Endpoint& endpoint, const error_code& ec) {
    std::string message = "cannot connect to " + endpoint.name() + ": " + ec.message() + ". ";
    if (ec == asio::error::access_denied) {
        message += "Only members of the socket's group may use it: see `ls -l " + endpoint.name() +
                   "`, then `usermod -aG GROUP USER` and log in again.";
    } else if (endpoint.host.empty()) {
        message +=
            "Is kvasird running? See `systemctl status kvasird`, or name its socket with "
            "--socket or KVASIR_SOCKET.";
    } else {
        message += "Is kvasird running, and listening there (--listen)?";
    }
    return {ErrorCode::io, message};
}

}  // namespace

struct HttpConnection::Impl {
    using Socket = asio::generic::stream_protocol::socket;

    asio::io_context io{1};
    Socket socket{io};
    asio::posix::stream_descriptor cancel{io};  // not ours to close
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    std::optional<http::response_parser<http::buffer_body>> parser;
    std::array<char, 16384> piece{};
    StreamSink sink;
    std::string host_field;
    std::string authorization;

    bool is_event_stream = false;
    HttpReply reply;
    std::optional<Error> error;

    /// Every operation ends with an error now, and io.run() returns.
    void stop() {
        error_code ignored;
        socket.close(ignored);
        cancel.cancel(ignored);
    }

    void fail(const error_code& ec) {
        if (!reply.cancelled && !error) {
            if (ec == http::error::end_of_stream || ec == asio::error::connection_reset ||
                ec == asio::error::broken_pipe) {
                error = Error{ErrorCode::io, "the server closed the connection without an answer"};
            } else if (ec == http::error::partial_message) {
                error = Error{ErrorCode::io, "the server closed the connection within its answer"};
            } else if (ec.category() ==
                       http::make_error_code(http::error::bad_line_ending).category()) {
                error =
                    Error{ErrorCode::corrupt, "the server's answer is no HTTP: " + ec.message()};
            } else {
                error = Error{ErrorCode::io, "the connection broke: " + ec.message()};
            }
        }
        stop();
    }

    void take_header() {
        reply.status = parser->get().result_int();
        const auto type = parser->get()[http::field::content_type];
        is_event_stream = reply.status == 200 && type.starts_with("text/event-stream");
    }

    /// False when nothing more is wanted.
    bool take(std::string_view bytes) {
        if (bytes.empty()) return true;
        if (is_event_stream && sink) return sink(bytes);
        if (reply.body.size() + bytes.size() > kMaxBodyBytes) {
            error = Error{ErrorCode::too_large, "the server's answer has more than " +
                                                    std::to_string(kMaxBodyBytes) + " bytes"};
            return false;
        }
        reply.body.append(bytes);
        return true;
    }

    void read_some() {
        parser->get().body().data = piece.data();
        parser->get().body().size = piece.size();
        parser->get().body().more = true;
        http::async_read_some(socket, buffer, *parser, [this](error_code ec, std::size_t) {
            if (reply.cancelled) return;
            const std::size_t n = piece.size() - parser->get().body().size;
            if (ec == http::error::need_buffer) ec = {};
            if (!take({piece.data(), n}) || (!ec && parser->is_done())) return stop();
            if (ec) return fail(ec);
            read_some();
        });
    }

    void start(int cancel_fd) {
        // A server may answer and close before it has read the whole request (413): what counts is
        // what comes back, so reading starts at once and a failed write alone says nothing.
        http::async_write(socket, request, [](error_code, std::size_t) {});
        http::async_read_header(socket, buffer, *parser, [this](error_code ec, std::size_t) {
            if (reply.cancelled) return;
            if (ec) return fail(ec);
            take_header();
            if (parser->is_done()) return stop();
            read_some();
        });
        if (cancel_fd < 0) return;
        cancel.assign(cancel_fd);
        cancel.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code ec) {
            if (ec) return;
            reply.cancelled = true;
            stop();
        });
    }
};

HttpConnection::HttpConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpConnection::HttpConnection(HttpConnection&&) noexcept = default;
HttpConnection& HttpConnection::operator=(HttpConnection&&) noexcept = default;
HttpConnection::~HttpConnection() = default;

Result<HttpConnection> HttpConnection::open(const Endpoint& endpoint) {
    auto impl = std::make_unique<Impl>();
    impl->host_field = endpoint.host.empty() ? "localhost" : endpoint.name();
    if (!endpoint.api_key.empty()) impl->authorization = "Bearer " + endpoint.api_key;
    error_code ec;
    if (endpoint.host.empty()) {
        if (endpoint.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
            return Error{ErrorCode::io, "cannot connect to " + endpoint.socket_path +
                                            ": a path of " +
                                            std::to_string(endpoint.socket_path.size()) +
                                            " bytes, expected at most " +
                                            std::to_string(sizeof(sockaddr_un::sun_path) - 1)};
        }
        impl->socket.connect(asio::local::stream_protocol::endpoint(endpoint.socket_path), ec);
        if (ec) return connect_error(endpoint, ec);
        return HttpConnection(std::move(impl));
    }
    asio::ip::tcp::resolver resolver(impl->io);
    const auto addresses = resolver.resolve(endpoint.host, endpoint.port, ec);
    if (ec) return connect_error(endpoint, ec);
    for (const auto& address : addresses) {
        error_code ignored;
        impl->socket.close(ignored);
        impl->socket.connect(address.endpoint(), ec);
        if (!ec) return HttpConnection(std::move(impl));
    }
    return connect_error(endpoint, ec);
}

Result<HttpReply> HttpConnection::exchange(const HttpRequest& request, const StreamSink& sink,
                                           int cancel_fd) {
    Impl& impl = *impl_;
    impl.sink = sink;
    impl.request.version(11);
    impl.request.method_string(request.method);
    impl.request.target(request.target);
    impl.request.set(http::field::host, impl.host_field);
    impl.request.set(http::field::user_agent, "kvasir");
    impl.request.set(http::field::accept, "application/json, text/event-stream, text/plain");
    impl.request.set(http::field::connection, "close");
    if (!impl.authorization.empty())
        impl.request.set(http::field::authorization, impl.authorization);
    if (!request.body.empty()) {
        impl.request.set(http::field::content_type, "application/json");
        impl.request.body() = request.body;
    }
    impl.request.prepare_payload();
    impl.parser.emplace();
    impl.parser->body_limit(boost::none);  // streams have none; whole bodies are counted in take
    try {
        impl.start(cancel_fd);
        impl.io.run();
    } catch (const boost::system::system_error& e) {
        if (impl.cancel.is_open()) (void)impl.cancel.release();
        return Error{ErrorCode::io, std::string("the connection broke: ") + e.what()};
    }
    if (impl.cancel.is_open()) (void)impl.cancel.release();
    if (impl.error) return *std::exchange(impl.error, std::nullopt);
    return std::move(impl.reply);
}

}  // namespace kvasir::client
