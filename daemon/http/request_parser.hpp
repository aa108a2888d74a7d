// RequestParser: HTTP/1 requests from bytes, with our limits and errors. Beast stays behind it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "daemon/http/error_response.hpp"
#include "daemon/http/exchange.hpp"
#include "daemon/http/server_context.hpp"

namespace kvasir {

/// One request: put() until done() or an error, nothing after.
class RequestParser {
public:
    explicit RequestParser(ServerContext& context);
    ~RequestParser();

    struct Progress {
        std::size_t n_consumed = 0;
        bool needs_more = false;
        std::optional<ApiError> error;
    };
    /// Stops after the header, so that the caller can look at it, and after the request. REQUIRES:
    /// bytes, not done().
    Progress put(std::string_view bytes);

    bool header_done() const;
    bool done() const;

    // Valid once the header is done.
    bool keep_alive() const;
    bool is_http_1_0() const;
    bool expects_continue() const;
    /// What the header alone already rules out.
    std::optional<ApiError> check_header() const;
    /// Everything but the body.
    HttpRequest describe() const;

    /// REQUIRES: done().
    RequestBody take_body();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir
