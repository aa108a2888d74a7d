#include "config/base/error.hpp"

#include <cstdio>
#include <cstdlib>

#include "config/base/check.hpp"

namespace kvasir {

const char* to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return "invalid_argument";
        case ErrorCode::unauthorized: return "unauthorized";
        case ErrorCode::not_found: return "not_found";
        case ErrorCode::conflict: return "conflict";
        case ErrorCode::too_large: return "too_large";
        case ErrorCode::corrupt: return "corrupt";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::exhausted: return "exhausted";
        case ErrorCode::io: return "io";
        case ErrorCode::device_lost: return "device_lost";
    }
    return "unknown";
}

void throw_exception_from_error(const Error& error, const boost::source_location& location) {
    std::fprintf(stderr, "%s:%u: Result::value() on an error: %s: %s\n", location.file_name(),
                 static_cast<unsigned>(location.line()), to_string(error.code),
                 error.message.c_str());
    std::abort();
}

void check_failed(const char* condition, const char* sentence, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: %s (%s does not hold)\n", file, line, sentence, condition);
    std::abort();
}

}  // namespace kvasir
