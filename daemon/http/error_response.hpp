// Every way a request can fail, and the one table that gives each its HTTP status and OpenAI's type
// and code.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <string>

#include "config/base/error.hpp"
#include "daemon/http/exchange.hpp"

namespace kvasir {

enum class ErrorKind {
    // the request
    invalid_request,
    unsupported_parameter,
    context_length_exceeded,
    invalid_api_key,
    forbidden,
    not_found,
    conflict,
    exhausted,
    unsupported,
    // the protocol
    unknown_route,
    method_not_allowed,
    request_timeout,
    body_too_large,
    unsupported_encoding,
    misdirected,
    header_too_large,
    transfer_encoding,
    // the server
    internal,
    too_many_connections,
    out_of_memory,
    loading,
    load_failed,
    stopping,
    device_lost,
    cancelled,
};

/// param: the request's field that is to blame, empty where none is.
struct ApiError {
    ErrorKind kind = ErrorKind::internal;
    std::string message;
    std::string param;
};

/// Called by ApiResult::value() on an error; only tests call value(), so this aborts.
[[noreturn]] void throw_exception_from_error(const ApiError& error,
                                             const boost::source_location& location);

template <class T>
class [[nodiscard]] ApiResult : public boost::system::result<T, ApiError> {
public:
    using boost::system::result<T, ApiError>::result;
};

/// An engine's or tokenizer's error as the client sees it. too_large and invalid_argument of a
/// prompt blame param.
ApiError to_api_error(const Error& error, std::string param = {});

int http_status(ErrorKind kind);
const char* status_text(int status);

/// `{"error":{"message","type","param","code"}}`
std::string error_json(const ApiError& error);

/// The same as an answer, with Retry-After where waiting helps.
HttpResponse error_response(const ApiError& error);

}  // namespace kvasir
