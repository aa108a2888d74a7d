// The table of settings: every key once, with its type, range, place and explanation. Private to
// config/settings*.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.hpp"

namespace kvasir::settings_detail {

struct Text {
    std::string* at;
};
struct Flag {
    bool* at;
};
struct Count {
    std::uint32_t* at;
    std::uint32_t min, max;
};
struct Size {  // bytes; also written as "256MiB"
    std::uint64_t* at;
    std::uint64_t min, max;
};
struct Mode {  // a string of octal digits, because TOML's integers would be read as decimal by
               // people
    std::uint32_t* at;
};
template <class E>
struct Choice {
    E* at;
    std::span<const std::string_view> names;  // in the order of E's enumerators
};

using Slot = std::variant<Text, Flag, Count, Size, Mode, Choice<KvFormatChoice>, Choice<LogLevel>>;

struct SettingKey {
    std::string_view name;  // "server.max_queue"; without a dot: top level
    Slot slot;              // points into the Settings given to setting_keys
    std::string_view help;
};

std::vector<SettingKey> setting_keys(Settings& settings);
const SettingKey* find_key(std::span<const SettingKey> keys, std::string_view name);

/// Each stores the value or leaves the setting as it was. Errors: invalid_argument, "key: found X,
/// expected Y".
Result<> set_from_text(const SettingKey& key,
                       std::string_view text);  // what a shell or a TOML string gives
Result<> set_from_integer(const SettingKey& key, std::int64_t value);
Result<> set_from_boolean(const SettingKey& key, bool value);
Error wrong_value(const SettingKey& key, std::string_view found);

/// Names the closest key, if one is close.
Error unknown_key(std::span<const SettingKey> keys, std::string_view name);

std::string to_toml(const Slot& slot);

/// At most 80 bytes of something hostile, safe to print.
std::string shown(std::string_view text);

/// Overwrites what the file names. `path` is only for messages in apply_toml.
Result<std::string> read_settings_file(const std::string& path);
Result<> apply_toml(std::span<const SettingKey> keys, std::vector<DomainSettings>& domains,
                    std::string_view toml, const std::string& path);
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);
std::string quoted_toml(std::string_view text);

/// As [[domain]] tables; without any, an example in comments.
std::string domains_to_toml(std::span<const DomainSettings> domains);
/// Errors: invalid_argument.
Result<> check_domains(const Settings& settings);

/// Errors: invalid_argument.
Result<> check_consistency(const Settings& settings);

}  // namespace kvasir::settings_detail
