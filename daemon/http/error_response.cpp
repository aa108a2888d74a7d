#include "daemon/http/error_response.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "config/base/check.hpp"
#include "daemon/http/json_writer.hpp"

namespace kvasir {

namespace {

struct Row {
    ErrorKind kind;
    int status;
    const char* type;
    const char* code;
    unsigned retry_after_s;  // 0: waiting does not help
};

constexpr const char* kInvalid = "invalid_request_error";
constexpr const char* kServer = "server_error";

// Source of types and codes: OpenAI's API reference, "Error codes", where it has one.
constexpr std::array kRows{
    Row{ErrorKind::invalid_request, 400, kInvalid, nullptr, 0},
    Row{ErrorKind::unsupported_parameter, 400, kInvalid, "unsupported_parameter", 0},
    Row{ErrorKind::context_length_exceeded, 400, kInvalid, "context_length_exceeded", 0},
    Row{ErrorKind::invalid_api_key, 401, kInvalid, "invalid_api_key", 0},
    Row{ErrorKind::forbidden, 403, "permission_error", "forbidden", 0},
    Row{ErrorKind::not_found, 404, kInvalid, "not_found", 0},
    Row{ErrorKind::conflict, 409, kInvalid, "conflict", 0},
    Row{ErrorKind::exhausted, 429, "rate_limit_error", "rate_limit_exceeded", 1},
    Row{ErrorKind::unsupported, 501, kServer, "unsupported", 0},

    Row{ErrorKind::unknown_route, 404, kInvalid, "unknown_url", 0},
    Row{ErrorKind::method_not_allowed, 405, kInvalid, "method_not_allowed", 0},
    Row{ErrorKind::request_timeout, 408, kInvalid, "request_timeout", 0},
    Row{ErrorKind::body_too_large, 413, kInvalid, "request_too_large", 0},
    Row{ErrorKind::unsupported_encoding, 415, kInvalid, "unsupported_encoding", 0},
    Row{ErrorKind::misdirected, 421, kInvalid, "misdirected_request", 0},
    Row{ErrorKind::header_too_large, 431, kInvalid, "header_too_large", 0},
    Row{ErrorKind::transfer_encoding, 501, kInvalid, "unsupported_transfer_encoding", 0},

    Row{ErrorKind::internal, 500, kServer, "internal_error", 0},
    Row{ErrorKind::too_many_connections, 503, kServer, "too_many_connections", 1},
    Row{ErrorKind::out_of_memory, 503, kServer, "out_of_memory", 1},
    Row{ErrorKind::loading, 503, kServer, "model_loading", 1},
    Row{ErrorKind::load_failed, 503, kServer, "model_failed", 0},
    Row{ErrorKind::stopping, 503, kServer, "server_stopping", 1},
    Row{ErrorKind::device_lost, 503, kServer, "device_lost", 5},
    Row{ErrorKind::cancelled, 503, kServer, "request_cancelled", 0},
};

constexpr bool rows_stand_in_order() {
    for (std::size_t i = 0; i < kRows.size(); ++i)
        if (static_cast<std::size_t>(kRows[i].kind) != i) return false;
    return kRows.size() == static_cast<std::size_t>(ErrorKind::cancelled) + 1;
}
static_assert(rows_stand_in_order(), "kRows has one row for each ErrorKind, in its order");

const Row& row(ErrorKind kind) {
    return kRows[static_cast<std::size_t>(kind)];
}

ErrorKind to_kind(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return ErrorKind::invalid_request;
        case ErrorCode::unauthorized: return ErrorKind::invalid_api_key;
        case ErrorCode::not_found: return ErrorKind::not_found;
        case ErrorCode::conflict: return ErrorKind::conflict;
        case ErrorCode::too_large: return ErrorKind::context_length_exceeded;
        case ErrorCode::corrupt: return ErrorKind::internal;
        case ErrorCode::unsupported: return ErrorKind::unsupported;
        case ErrorCode::exhausted: return ErrorKind::exhausted;
        case ErrorCode::io: return ErrorKind::internal;
        case ErrorCode::device_lost: return ErrorKind::device_lost;
    }
    return ErrorKind::internal;
}

}  // namespace

void throw_exception_from_error(const ApiError& error, const boost::source_location& location) {
    std::fprintf(stderr, "%s:%u: ApiResult::value() on an error: %s: %s\n", location.file_name(),
                 static_cast<unsigned>(location.line()), error.param.c_str(),
                 error.message.c_str());
    std::abort();
}

ApiError to_api_error(const Error& error, std::string param) {
    return {to_kind(error.code), error.message, std::move(param)};
}

int http_status(ErrorKind kind) {
    return row(kind).status;
}

const char* status_text(int status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 421: return "Misdirected Request";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        default: return "Unknown";
    }
}

std::string error_json(const ApiError& error) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("error").begin_object();
    json.field("message", error.message).field("type", row(error.kind).type);
    json.key("param");
    error.param.empty() ? json.null() : json.string(error.param);
    json.key("code");
    row(error.kind).code == nullptr ? json.null() : json.string(row(error.kind).code);
    json.end_object().end_object();
    return out;
}

HttpResponse error_response(const ApiError& error) {
    HttpResponse response;
    response.status = row(error.kind).status;
    response.body = error_json(error);
    if (const unsigned wait = row(error.kind).retry_after_s; wait != 0)
        response.headers.emplace_back("Retry-After", std::to_string(wait));
    if (error.kind == ErrorKind::invalid_api_key)
        response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

}  // namespace kvasir
