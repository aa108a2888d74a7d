#include "daemon/http/request_parser.hpp"

#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <fmt/format.h>

namespace kvasir {

namespace http = boost::beast::http;
using boost::beast::error_code;

namespace {

/// A Beast body that keeps its share of the budget for all bodies and never reserves what was only
/// announced.
struct BudgetedBody {
    // Beast's names. NOLINTBEGIN(readability-identifier-naming)
    using value_type = RequestBody;
    class reader {
    public:
        template <bool is_request, class Fields>
        reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}
        void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
        template <class Buffers>
        std::size_t put(const Buffers& buffers, error_code& ec) {
            std::size_t n = 0;
            ec = {};
            for (const auto buffer : boost::beast::buffers_range_ref(buffers)) {
                if (!body_.append({static_cast<const char*>(buffer.data()), buffer.size()}))
                    ec = make_error_code(boost::system::errc::not_enough_memory);
                n += buffer.size();
            }
            return n;
        }
        void finish(error_code& ec) { ec = {}; }

    private:
        value_type& body_;
    };
    // NOLINTEND(readability-identifier-naming)
};

ApiError to_error(const error_code& ec, const HttpLimits& limits) {
    if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
        return {ErrorKind::header_too_large,
                fmt::format("header: more than {} bytes", limits.header_bytes),
                {}};
    }
    if (ec == http::error::body_limit) {
        return {ErrorKind::body_too_large,
                fmt::format("body: more than {} bytes", limits.body_bytes),
                {}};
    }
    if (ec == boost::system::errc::not_enough_memory) {
        return {ErrorKind::out_of_memory,
                fmt::format("bodies of all requests: more than {} bytes, try again",
                            limits.all_body_bytes),
                {}};
    }
    return {ErrorKind::invalid_request, "HTTP: " + ec.message(), {}};
}

}  // namespace

struct RequestParser::Impl {
    explicit Impl(const HttpLimits& l) : limits(l) {}
    std::string header(http::field field) const {
        const boost::beast::string_view value = parser.get()[field];
        return {value.data(), value.size()};
    }

    const HttpLimits& limits;
    http::request_parser<BudgetedBody> parser;
};

RequestParser::RequestParser(ServerContext& context)
    : impl_(std::make_unique<Impl>(context.options.limits)) {
    const HttpLimits& limits = impl_->limits;
    impl_->parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    impl_->parser.body_limit(limits.body_bytes);
    impl_->parser.get().body() =
        RequestBody(context.counters.body_bytes_held, limits.all_body_bytes);
}

RequestParser::~RequestParser() = default;

RequestParser::Progress RequestParser::put(std::string_view bytes) {
    if (impl_->parser.is_header_done()) impl_->parser.eager(true);
    Progress progress;
    error_code ec;
    progress.n_consumed = impl_->parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
    if (ec == http::error::need_more) {
        progress.needs_more = true;
    } else if (ec) {
        progress.error = to_error(ec, impl_->limits);
    }
    return progress;
}

bool RequestParser::header_done() const {
    return impl_->parser.is_header_done();
}
bool RequestParser::done() const {
    return impl_->parser.is_done();
}
bool RequestParser::keep_alive() const {
    return impl_->parser.get().keep_alive();
}
bool RequestParser::is_http_1_0() const {
    return impl_->parser.get().version() < 11;
}
RequestBody RequestParser::take_body() {
    return std::move(impl_->parser.get().body());
}

bool RequestParser::expects_continue() const {
    return !is_http_1_0() &&
           boost::beast::iequals(impl_->parser.get()[http::field::expect], "100-continue");
}

std::optional<ApiError> RequestParser::check_header() const {
    const auto& message = impl_->parser.get();
    const bool is_chunked = impl_->parser.chunked();
    if (message.find(http::field::transfer_encoding) != message.end() && !is_chunked) {
        return ApiError{
            ErrorKind::transfer_encoding, "Transfer-Encoding: only chunked is supported", {}};
    }
    if (const std::string coding = impl_->header(http::field::content_encoding);
        !coding.empty() && coding != "identity") {
        return ApiError{
            ErrorKind::unsupported_encoding,
            fmt::format("Content-Encoding: \"{}\", expected none", coding.substr(0, 32)),
            {}};
    }
    return std::nullopt;
}

HttpRequest RequestParser::describe() const {
    const auto& message = impl_->parser.get();
    HttpRequest request;
    const boost::beast::string_view method = message.method_string();
    const boost::beast::string_view target = message.target();
    request.method = std::string(method.data(), method.size());
    request.path = std::string(target.data(), target.size());
    request.path.resize(std::min(request.path.find_first_of("?#"), request.path.size()));
    request.host = impl_->header(http::field::host);
    request.authorization = impl_->header(http::field::authorization);
    const boost::beast::string_view session = message["X-Session-Id"];
    request.session_id = std::string(session.data(), session.size());
    return request;
}

}  // namespace kvasir
