// Settings of kvasird: TOML file, environment, command line, in rising precedence. The only place
// with defaults. Adding a setting: one member here, one line in settings_keys.cpp, one entry in
// kvasird.toml (a test compares).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/log.hpp"

namespace kvasir {

/// How sealed pages hold keys or values. `automatic` ("auto" in files): measured at load, DESIGN
/// section 4.
enum class KvFormatChoice { f16, int8, int4, automatic };

struct DeviceSettings {
    std::string name;         // empty: the best; else its index or a part of its name
    bool validation = false;  // Vulkan's validation layer: slow, for development
    std::string
        pipeline_cache_dir;  // empty: chosen by load_settings; still empty after it: no cache
};

struct ServerSettings {
    std::string socket = "/run/kvasir/kvasir.sock";
    std::uint32_t socket_mode = 0660;
    std::string listen;          // empty: no TCP; else HOST:PORT or [HOST]:PORT, loopback only
    std::string api_key_file;    // needed with listen
    std::string administrators;  // uids, separated by commas; empty: the daemon's own
    std::uint32_t max_connections = 1024;
    std::uint64_t max_body_bytes = 8ULL << 20;
    std::uint32_t header_timeout_ms = 10'000;
    std::uint32_t body_timeout_ms = 30'000;
    std::uint32_t write_timeout_ms = 30'000;
    std::uint32_t idle_timeout_ms = 60'000;
    std::uint32_t max_queue = 64;  // requests waiting for a sequence
    std::uint32_t drain_timeout_ms = 10'000;
};

struct EngineSettings {
    std::uint32_t context = 0;  // tokens; 0: the model's
    std::uint32_t max_sequences = 16;
    std::uint32_t step_tokens = 256;  // prompt tokens a step, over all sequences
    std::uint32_t sinks = 4;          // of requests with overflow = "window"; 0: refused
    std::uint32_t window_tokens = 0;  // longest of these; 0: four contexts
};

struct CacheSettings {
    std::uint64_t budget_bytes = 256ULL << 20;  // 0: chosen from the device's free memory
    KvFormatChoice keys = KvFormatChoice::int8;
    KvFormatChoice values = KvFormatChoice::int8;
    std::string layer_overrides;
    std::uint64_t host_budget_bytes = 0;         // 0: no host tier
    std::uint32_t session_ttl_seconds = 3600;    // idle; 0: until it is ended
    std::uint32_t anonymous_ttl_seconds = 3600;  // since the last use; 0: until space is short
    std::uint32_t max_sessions = 1024;           // a domain
    std::string prefixes_dir = "/etc/kvasir/prefixes.d";
    std::string disk_dir = "/var/lib/kvasir/kv";
    std::uint64_t disk_budget_bytes = 0;  // 0: no disk tier
    bool scrub = false;                   // zero what is freed
};

/// Who shares a cache. Listed in the file alone, as [[domain]]; the first that a caller belongs to
/// is its own.
struct DomainSettings {
    std::string name;                 // a-z, 0-9, - and _
    std::vector<std::string> users;   // names or uids
    std::vector<std::string> groups;  // names or gids
    std::uint64_t reserve_bytes = 0;  // of the device's budget: others never take it
    std::uint64_t cap_bytes = 0;      // at most; 0: all of it
};

struct LogSettings {
    LogLevel level = LogLevel::info;
};

struct Settings {
    std::string model;  // a GGUF file, or a directory with one
    DeviceSettings device;
    ServerSettings server;
    EngineSettings engine;
    CacheSettings cache;
    LogSettings log;
    std::vector<DomainSettings> domains;

    // From the command line alone.
    bool check_only = false;  // --check: validate configuration and model, then exit
    std::string print;        // --help, --version, --print-config: write this to stdout and exit 0;
                              // nothing else is valid
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

/// Reads --config FILE (else KVASIR_CONFIG, else /etc/kvasir/kvasird.toml where that exists), then
/// KVASIR_* variables, then the command line. Values are in range and consistent on return; whether
/// files exist is for those who open them. Errors: invalid_argument (key, found, expected, and
/// where), not_found or io (the file), too_large, corrupt (syntax).
Result<Settings> load_settings(int argc, const char* const* argv, const Environment& environment);

/// What a key holds now, as it is written in TOML.
struct SettingDescription {
    std::string key;    // "server.socket_mode"
    std::string value;  // "\"0660\"", "64", "true"
    std::string help;
};
std::vector<SettingDescription> describe_settings(const Settings& settings);

/// A whole TOML file with these settings, each under its line of explanation. Of Settings{}:
/// config/kvasird.toml.
std::string settings_to_toml(const Settings& settings);

}  // namespace kvasir
