// Which handler answers which method and path, and who may ask.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "daemon/http/exchange.hpp"
#include "daemon/http/server_context.hpp"

namespace kvasir {

/// Answers the exchange or passes it to its handler: 404, 405, 401, 421 and 503 are decided here.
void route_request(const std::shared_ptr<ServerContext>& context,
                   const std::shared_ptr<Exchange>& exchange);

/// When this process started, in Unix seconds.
std::uint64_t process_start_seconds();

}  // namespace kvasir
