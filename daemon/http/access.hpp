// Who may ask over TCP: bearer keys and the Host header. The Unix socket is guarded by its file's
// mode.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daemon/engine/cache_control.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/exchange.hpp"
#include "daemon/http/http_options.hpp"

namespace kvasir {

/// nullopt: allowed. /health needs no key. A Host that is not this machine's own name for itself is
/// refused: a web page that rebinds its name to 127.0.0.1 must not reach the daemon through a
/// browser.
std::optional<ApiError> check_access(const HttpOptions& options, const HttpRequest& request,
                                     bool is_health);

/// Callers in one domain reuse each other's cached prefixes: a user's on the Unix socket, a key's
/// over TCP. The user nobody shares with none, not even with itself. REQUIRES: check_access allowed
/// the request.
std::uint32_t isolation_domain(const HttpOptions& options, const HttpRequest& request);

/// Sees all domains' figures, and makes prefixes that all domains read. Never over TCP.
bool is_administrator(const HttpOptions& options, const HttpRequest& request);

Caller caller_of(const HttpOptions& options, const HttpRequest& request);

/// Lines of `KEY [DOMAIN]`, `#` begins a comment. Warns of a file that everybody may read.
/// Errors: io, too_large (1 MiB), invalid_argument (no key, or a DOMAIN that there is not).
Result<std::vector<ApiKey>> load_api_keys(const std::filesystem::path& path,
                                          const DomainTable& domains);

}  // namespace kvasir
