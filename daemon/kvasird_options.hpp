// From the daemon's settings to what its rooms are told.
#pragma once

#include "config/settings.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/http/http_options.hpp"

namespace kvasir {

/// Looks for the model's file. domains: of settings.domains. Errors: not_found, io (the directory),
/// invalid_argument, unsupported.
Result<EngineOptions> engine_options(const Settings& settings, const DomainTable& domains);

/// Reads the key file and takes the sockets that systemd passed, which take the place of those that
/// the settings name. Call once. Errors: as load_api_keys.
Result<HttpOptions> http_options(const ServerSettings& server, const DomainTable& domains);

}  // namespace kvasir
