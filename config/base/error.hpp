// Errors as values: Result<T> carries T or an Error. Expected failures only; programmer errors are
// KVASIR_CHECK.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <utility>

namespace kvasir {

/// One code for each different reaction of the caller; a message says the rest.
enum class ErrorCode {
    invalid_argument,  // the caller's input: 400
    unauthorized,      // 401
    not_found,         // 404
    conflict,          // 409
    too_large,         // 413, or an input over a stated limit
    corrupt,           // a file or message that contradicts itself: refuse it
    unsupported,       // well formed, but nothing here can do it
    exhausted,         // memory, pages, queue: retry later
    io,                // the operating system said no
    device_lost,       // the GPU is gone: rebuild the device
};

/// "subject: found, expected" with units, e.g. `blk.3.attn_k.weight: shape (1024, 2048), expected
/// (512, 2048)`.
struct Error {
    ErrorCode code = ErrorCode::io;
    std::string message;
};

const char* to_string(ErrorCode code);

/// Called by Result::value() on an error; only tests call value(), so this aborts with the message.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& location);

template <class T = void>
class [[nodiscard]] Result : public boost::system::result<T, Error> {
public:
    using boost::system::result<T, Error>::result;
};

#define KVASIR_CONCAT_(a, b) a##b
#define KVASIR_CONCAT(a, b) KVASIR_CONCAT_(a, b)

/// KVASIR_TRY(auto file, MappedFile::open(path)); propagates the error. A statement sequence: only
/// inside braces.
#define KVASIR_TRY(decl, expr) KVASIR_TRY_(KVASIR_CONCAT(kvasir_result_, __COUNTER__), decl, expr)
#define KVASIR_TRY_(tmp, decl, expr)                    \
    auto tmp = (expr);                                  \
    if (tmp.has_error()) return std::move(tmp).error(); \
    decl = std::move(*tmp)

/// The same for Result<void>.
#define KVASIR_TRY_VOID(expr)                                                   \
    do {                                                                        \
        auto kvasir_status = (expr);                                            \
        if (kvasir_status.has_error()) return std::move(kvasir_status).error(); \
    } while (false)

}  // namespace kvasir
