#include "daemon/kvasird_options.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <string>
#include <sys/socket.h>

#include "daemon/http/access.hpp"
#include "daemon/model/open_model.hpp"
#include <systemd/sd-daemon.h>

namespace kvasir {

namespace {

using std::chrono::milliseconds;

Result<std::filesystem::path> find_model_file(const std::filesystem::path& path) {
    std::error_code ec;
    if (!std::filesystem::is_directory(path, ec)) return path;
    if (is_hf_directory(path)) return path;
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(path, ec)) {
        if (entry.path().extension() != ".gguf") continue;
        if (!found.empty()) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("{}: several .gguf files, expected one; name the file", path.string())};
        }
        found = entry.path();
    }
    if (ec) return Error{ErrorCode::io, fmt::format("{}: {}", path.string(), ec.message())};
    if (found.empty() && has_hf_config(path)) return path;  // opening it says what is missing
    if (found.empty()) {
        return Error{
            ErrorCode::not_found,
            fmt::format("{}: no config.json and no .gguf file in this directory", path.string())};
    }
    return found;
}

const char* kv_format_name(KvFormatChoice choice) {
    switch (choice) {
        case KvFormatChoice::f16: return "f16";
        case KvFormatChoice::int8: return "int8";
        case KvFormatChoice::int4: return "int4";
        case KvFormatChoice::automatic: break;
    }
    return "f16";  // what is measured against
}

Result<> choose_kv(const CacheSettings& cache, EngineOptions& options) {
    const bool auto_keys = cache.keys == KvFormatChoice::automatic;
    if (auto_keys != (cache.values == KvFormatChoice::automatic)) {
        return Error{ErrorCode::unsupported,
                     "cache.keys, cache.values: auto for one alone, expected for both or neither"};
    }
    options.auto_kv = auto_keys;
    KVASIR_TRY(options.model.kv, parse_kv_formats(fmt::format("{}:{}", kv_format_name(cache.keys),
                                                              kv_format_name(cache.values))));
    KVASIR_TRY(options.model.kv_overrides, parse_kv_overrides(cache.layer_overrides));
    return {};
}

Result<std::vector<std::uint32_t>> parse_uids(std::string_view text) {
    std::vector<std::uint32_t> uids;
    while (!text.empty()) {
        const std::string_view one = text.substr(0, text.find(','));
        std::uint32_t uid = 0;
        const auto [end, failed] = std::from_chars(one.data(), one.data() + one.size(), uid);
        if (failed != std::errc{} || end != one.data() + one.size()) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("server.administrators: \"{}\", expected uids separated by "
                                     "commas",
                                     one)};
        }
        uids.push_back(uid);
        text.remove_prefix(std::min(text.size(), one.size() + 1));
    }
    return uids;
}

/// Sockets that systemd opened take the place of those that the settings name.
void take_inherited_sockets(HttpOptions& options) {
    const int n = ::sd_listen_fds(1);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; ++fd) {
        options.inherited_sockets.push_back(fd);
        const bool is_unix = ::sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0;
        (is_unix ? options.socket_path : options.listen).clear();
    }
}

}  // namespace

Result<EngineOptions> engine_options(const Settings& settings, const DomainTable& domains) {
    EngineOptions options;
    KVASIR_TRY(options.model.path, find_model_file(settings.model));
    options.model.device.name = settings.device.name;
    options.model.device.validation = settings.device.validation;
    options.model.device.pipeline_cache_dir = settings.device.pipeline_cache_dir;
    KVASIR_TRY_VOID(choose_kv(settings.cache, options));
    options.model.context = settings.engine.context;
    options.model.max_sequences = settings.engine.max_sequences;
    options.model.step_tokens = settings.engine.step_tokens;
    options.model.sinks = settings.engine.sinks;
    options.model.window_tokens = settings.engine.window_tokens;
    options.model.kv_budget_bytes = settings.cache.budget_bytes;
    options.max_queue = settings.server.max_queue;
    const CacheSettings& cache = settings.cache;
    if (cache.session_ttl_seconds > 0)
        options.holders.session_ttl.idle_ms = std::uint64_t{cache.session_ttl_seconds} * 1000;
    if (cache.anonymous_ttl_seconds > 0)
        options.anonymous_ttl_ms = std::uint64_t{cache.anonymous_ttl_seconds} * 1000;
    options.host_budget_bytes = cache.host_budget_bytes;
    options.holders.n_per_domain = cache.max_sessions;
    options.disk.dir = cache.disk_dir;
    options.disk.budget_bytes = cache.disk_budget_bytes;
    for (const auto& [domain, identity] : domains.disk_identities())
        options.disk.domains[DomainId{domain}] = identity;
    options.disk.domains[kCommonDomain] = "common";
    for (const auto& [domain, name] : domains.names()) {
        const DomainSettings& budget = settings.domains[domain - kFirstListed];
        options.domains.push_back({DomainId{domain}, name, budget.reserve_bytes, budget.cap_bytes});
    }
    options.scrub = cache.scrub;
    return options;
}

Result<HttpOptions> http_options(const ServerSettings& server, const DomainTable& domains) {
    HttpOptions options;
    options.domains = domains;
    options.socket_path = server.socket;
    options.socket_mode = server.socket_mode;
    options.listen = server.listen;
    if (!server.api_key_file.empty()) {
        KVASIR_TRY(options.api_keys, load_api_keys(server.api_key_file, options.domains));
    }
    KVASIR_TRY(options.administrators, parse_uids(server.administrators));
    options.limits.n_connections = server.max_connections;
    options.limits.body_bytes = server.max_body_bytes;
    options.limits.all_body_bytes =
        std::max(options.limits.all_body_bytes, 4 * options.limits.body_bytes);
    options.timeouts.header = milliseconds(server.header_timeout_ms);
    options.timeouts.body = milliseconds(server.body_timeout_ms);
    options.timeouts.write = milliseconds(server.write_timeout_ms);
    options.timeouts.idle = milliseconds(server.idle_timeout_ms);
    options.timeouts.drain = milliseconds(server.drain_timeout_ms);
    take_inherited_sockets(options);
    return options;
}

}  // namespace kvasir
