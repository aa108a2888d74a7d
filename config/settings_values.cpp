// One value: from text, integer or boolean into its setting, and back into TOML.
#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <type_traits>

#include "config/settings_keys.hpp"

namespace kvasir::settings_detail {

namespace {

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kShownBytes = 80;
constexpr std::string_view kHex = "0123456789abcdef";

/// The whole text as a number; not a prefix of it, no sign, no spaces.
std::optional<std::uint64_t> parse_unsigned(std::string_view text, int base = 10) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

struct Unit {
    std::string_view name;
    std::uint64_t bytes;
};
constexpr std::array<Unit, 5> kUnits{
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t unit = 1;
    for (const Unit& candidate : kUnits) {
        if (!text.ends_with(candidate.name)) continue;
        unit = candidate.bytes;
        text.remove_suffix(candidate.name.size());
        if (text.ends_with(' ')) text.remove_suffix(1);
        break;
    }
    const auto count = parse_unsigned(text);
    if (!count || *count > UINT64_MAX / unit) return std::nullopt;
    return *count * unit;
}

std::string size_text(std::uint64_t bytes) {
    for (const Unit& unit : kUnits) {
        if (bytes >= unit.bytes && bytes % unit.bytes == 0)
            return std::to_string(bytes / unit.bytes) + std::string(unit.name);
    }
    return "0B";
}

std::string quoted_toml(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += {kHex[byte >> 4], kHex[byte & 15]};
        } else {
            out += c;
        }
    }
    return out += '"';
}

namespace {

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <class E>
std::string expected_choice(const Choice<E>& choice) {
    return fmt::format("one of {}", fmt::join(choice.names, ", "));
}

std::string expected(const Slot& slot) {
    return std::visit(
        Overloaded{
            [](const Text&) {
                return "text without control characters, at most " + std::to_string(kMaxTextBytes) +
                       " bytes";
            },
            [](const Flag&) { return std::string("true or false"); },
            [](const Count& c) {
                return "a whole number from " + std::to_string(c.min) + " to " +
                       std::to_string(c.max);
            },
            [](const Size& s) {
                return "bytes from " + size_text(s.min) + " to " + size_text(s.max) +
                       ", as a number or with KiB, MiB, GiB";
            },
            [](const Mode&) { return std::string("octal permissions from \"0000\" to \"0777\""); },
            [](const auto& choice) { return expected_choice(choice); },
        },
        slot);
}

template <class E>
bool store_choice(const Choice<E>& choice, std::string_view text) {
    const auto found = std::ranges::find(choice.names, text);
    if (found == choice.names.end()) return false;
    *choice.at = static_cast<E>(found - choice.names.begin());
    return true;
}

template <class Limits, class T>
bool store_number(const Limits& limits, std::optional<T> value) {
    if (!value || *value < limits.min || *value > limits.max) return false;
    *limits.at = static_cast<std::remove_pointer_t<decltype(limits.at)>>(*value);
    return true;
}

bool store_text(const Text& text, std::string_view value) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    if (value.size() > kMaxTextBytes || std::ranges::any_of(value, is_control)) return false;
    *text.at = value;
    return true;
}

bool store_flag(const Flag& flag, std::string_view value) {
    if (value != "true" && value != "false" && value != "1" && value != "0") return false;
    *flag.at = value == "true" || value == "1";
    return true;
}

bool store_mode(const Mode& mode, std::string_view value) {
    const auto parsed = parse_unsigned(value, 8);
    if (!parsed || *parsed > 0777) return false;
    *mode.at = static_cast<std::uint32_t>(*parsed);
    return true;
}

}  // namespace

std::string shown(std::string_view text) {
    const bool long_text = text.size() > kShownBytes;
    return log_quoted(text.substr(0, kShownBytes)) + (long_text ? "..." : "");
}

Error wrong_value(const SettingKey& key, std::string_view found) {
    return {ErrorCode::invalid_argument, std::string(key.name) + ": found " + std::string(found) +
                                             ", expected " + expected(key.slot)};
}

Result<> set_from_text(const SettingKey& key, std::string_view text) {
    const bool stored =
        std::visit(Overloaded{
                       [&](const Text& slot) { return store_text(slot, text); },
                       [&](const Flag& slot) { return store_flag(slot, text); },
                       [&](const Count& slot) { return store_number(slot, parse_unsigned(text)); },
                       [&](const Size& slot) { return store_number(slot, parse_size(text)); },
                       [&](const Mode& slot) { return store_mode(slot, text); },
                       [&](const auto& slot) { return store_choice(slot, text); },
                   },
                   key.slot);
    if (!stored) return wrong_value(key, shown(text));
    return {};
}

Result<> set_from_integer(const SettingKey& key, std::int64_t value) {
    const auto not_negative =
        value < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
    const bool stored =
        std::visit(Overloaded{
                       [&](const Count& slot) { return store_number(slot, not_negative); },
                       [&](const Size& slot) { return store_number(slot, not_negative); },
                       [](const auto&) { return false; },
                   },
                   key.slot);
    if (!stored) return wrong_value(key, "the integer " + std::to_string(value));
    return {};
}

Result<> set_from_boolean(const SettingKey& key, bool value) {
    const Flag* flag = std::get_if<Flag>(&key.slot);
    if (flag == nullptr) return wrong_value(key, value ? "the boolean true" : "the boolean false");
    *flag->at = value;
    return {};
}

std::string to_toml(const Slot& slot) {
    return std::visit(
        Overloaded{
            [](const Text& text) { return quoted_toml(*text.at); },
            [](const Flag& flag) { return std::string(*flag.at ? "true" : "false"); },
            [](const Count& count) { return std::to_string(*count.at); },
            [](const Size& size) { return quoted_toml(size_text(*size.at)); },
            [](const Mode& mode) { return fmt::format("\"{:04o}\"", *mode.at); },
            [](const auto& choice) {
                return quoted_toml(choice.names[static_cast<std::size_t>(*choice.at)]);
            },
        },
        slot);
}

}  // namespace kvasir::settings_detail
