// JsonWriter: appends JSON to a string. What it writes is always valid JSON and valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir {

/// text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

/// The length of the UTF-8 character at the front of text, 0 where there is none.
std::size_t utf8_character_length(std::string_view text);

/// text with U+FFFD for whatever is not UTF-8.
std::string to_valid_utf8(std::string_view text);

/// Commas are its business, nesting the caller's. Shortest decimal form of numbers; NaN and
/// infinity become null.
class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& begin_object() { return open('{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array() { return open('['); }
    JsonWriter& end_array() { return close(']'); }
    JsonWriter& key(std::string_view name);

    JsonWriter& string(std::string_view value);
    JsonWriter& number(std::uint64_t value);
    JsonWriter& number(double value);
    JsonWriter& number(float value);
    JsonWriter& boolean(bool value);
    JsonWriter& null();
    /// REQUIRES: one value, as a parser took or a serializer made it.
    JsonWriter& valid_json(std::string_view value);

    JsonWriter& field(std::string_view name, std::string_view value) {
        return key(name).string(value);
    }
    JsonWriter& field(std::string_view name, std::uint64_t value) {
        return key(name).number(value);
    }
    JsonWriter& field(std::string_view name, double value) { return key(name).number(value); }

private:
    JsonWriter& open(char bracket);
    JsonWriter& close(char bracket);
    void separate();

    std::string& out_;
    bool needs_comma_ = false;
};

}  // namespace kvasir
