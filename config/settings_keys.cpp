#include "config/settings_keys.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace kvasir::settings_detail {

namespace {

constexpr std::array<std::string_view, 4> kKvFormatNames{"f16", "int8", "int4", "auto"};
constexpr std::array<std::string_view, 6> kLogLevelNames{"trace", "debug", "info",
                                                         "warn",  "error", "off"};
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint32_t kHourMs = 3'600'000;
constexpr std::uint32_t kYearSeconds = 31'536'000;

}  // namespace

std::vector<SettingKey> setting_keys(Settings& s) {
    return {
        {"model", Text{&s.model},
         "The model: a GGUF file, a Hugging Face directory, or a directory that holds one GGUF "
         "file."},

        {"device.name", Text{&s.device.name},
         "Vulkan device: an index or a part of its name; empty: the best one."},
        {"device.validation", Flag{&s.device.validation},
         "Run under Vulkan's validation layer (slow, for development)."},
        {"device.pipeline_cache_dir", Text{&s.device.pipeline_cache_dir},
         "Compiled shaders are kept here; empty: /var/cache/kvasir, or the user's cache "
         "directory."},

        {"server.socket", Text{&s.server.socket},
         "The Unix socket; empty: none (then server.listen is needed)."},
        {"server.socket_mode", Mode{&s.server.socket_mode}, "Permissions of the socket, octal."},
        {"server.listen", Text{&s.server.listen},
         "Also listen on loopback TCP, e.g. 127.0.0.1:8080; empty: no TCP."},
        {"server.api_key_file", Text{&s.server.api_key_file},
         "Bearer keys for TCP, one a line; needed with server.listen."},
        {"server.administrators", Text{&s.server.administrators},
         "Uids that see all users' figures and make common prefixes, e.g. \"0,1000\"; empty: the "
         "daemon's own."},
        {"server.max_connections", Count{&s.server.max_connections, 1, 65'536},
         "Connections at a time; more are refused."},
        {"server.max_body_bytes", Size{&s.server.max_body_bytes, 1024, 1024 * kMiB},
         "Largest request body."},
        {"server.header_timeout_ms", Count{&s.server.header_timeout_ms, 100, kHourMs},
         "Time to send a request's header."},
        {"server.body_timeout_ms", Count{&s.server.body_timeout_ms, 100, kHourMs},
         "Time to send a request's body."},
        {"server.write_timeout_ms", Count{&s.server.write_timeout_ms, 100, kHourMs},
         "Time a client may leave a reply unread."},
        {"server.idle_timeout_ms", Count{&s.server.idle_timeout_ms, 100, 24 * kHourMs},
         "Time a connection may wait between requests."},
        {"server.max_queue", Count{&s.server.max_queue, 0, 65'536},
         "Requests that may wait; more get status 429."},
        {"server.drain_timeout_ms", Count{&s.server.drain_timeout_ms, 0, kHourMs},
         "On SIGTERM, time for running requests to finish."},

        {"engine.context", Count{&s.engine.context, 0, 1U << 24},
         "Longest sequence in tokens; 0: the model's."},
        {"engine.max_sequences", Count{&s.engine.max_sequences, 1, 1024},
         "Sequences computed at a time."},
        {"engine.step_tokens", Count{&s.engine.step_tokens, 1, 8192},
         "Prompt tokens a step: more is faster for prompts, less is smoother for running streams."},
        {"engine.sinks", Count{&s.engine.sinks, 0, 4096},
         "Requests with overflow = \"window\" go on beyond the context: they see these first "
         "tokens "
         "and the last ones; 0: refused."},
        {"engine.window_tokens", Count{&s.engine.window_tokens, 0, 1U << 26},
         "The longest such sequence in tokens; its pages are those of what it still sees; 0: four "
         "contexts."},

        {"cache.budget_bytes", Size{&s.cache.budget_bytes, 0, 1ULL << 44},
         "Device memory for the KV cache, e.g. \"256MiB\"; 0: chosen from the device."},
        {"cache.keys", Choice<KvFormatChoice>{&s.cache.keys, kKvFormatNames},
         "Format of cached keys: f16, int8, int4, auto."},
        {"cache.values", Choice<KvFormatChoice>{&s.cache.values, kKvFormatNames},
         "Format of cached values: f16, int8, int4, auto."},
        {"cache.layer_overrides", Text{&s.cache.layer_overrides},
         "Formats of single layers, e.g. \"0-1=f16,5=int8:int4\"; empty: none."},
        {"cache.host_budget_bytes", Size{&s.cache.host_budget_bytes, 0, 1ULL << 44},
         "Host memory for pages that the device has no room for, e.g. \"1GiB\"; 0: they are "
         "dropped."},
        {"cache.session_ttl_seconds", Count{&s.cache.session_ttl_seconds, 0, kYearSeconds},
         "A session that is not used for so long ends, unless it has its own; 0: never."},
        {"cache.anonymous_ttl_seconds", Count{&s.cache.anonymous_ttl_seconds, 0, kYearSeconds},
         "Pages that no session, prefix or context holds go when unused for so long; 0: when space "
         "is short."},
        {"cache.max_sessions", Count{&s.cache.max_sessions, 1, 65'536},
         "Sessions of one domain; beyond, the one idle longest ends."},
        {"cache.prefixes_dir", Text{&s.cache.prefixes_dir},
         "Prefixes computed at start, one a file: name, and text, [[messages]] or tokens."},
        {"cache.disk_dir", Text{&s.cache.disk_dir},
         "Where saved sessions and prefixes lie, with cache.disk_budget_bytes."},
        {"cache.disk_budget_bytes", Size{&s.cache.disk_budget_bytes, 0, 1ULL << 50},
         "Disk space for saved sessions and prefixes, e.g. \"4GiB\"; 0: nothing goes to disk."},
        {"cache.scrub", Flag{&s.cache.scrub},
         "Zero pages when they are freed: on the device, in host memory and on disk."},

        {"log.level", Choice<LogLevel>{&s.log.level, kLogLevelNames},
         "trace, debug, info, warn, error, off."},
    };
}

const SettingKey* find_key(std::span<const SettingKey> keys, std::string_view name) {
    const auto found = std::ranges::find(keys, name, &SettingKey::name);
    return found == keys.end() ? nullptr : &*found;
}

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t substitution = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal =
                std::exchange(row[j + 1], std::min({substitution, row[j] + 1, row[j + 1] + 1}));
        }
    }
    return row.back();
}

}  // namespace

Error unknown_key(std::span<const SettingKey> keys, std::string_view name) {
    Error error{ErrorCode::invalid_argument, shown(name) + ": unknown key"};
    if (name.size() > 64) return error;
    const auto closest = std::ranges::min_element(
        keys, {}, [&](const SettingKey& key) { return edit_distance(key.name, name); });
    if (edit_distance(closest->name, name) <= 3)
        error.message += "; did you mean " + std::string(closest->name) + "?";
    return error;
}

}  // namespace kvasir::settings_detail
