// UTF-8 text by code points: counting, slicing, classes and case as Python's str sees them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir::jinja {

bool is_utf8(std::string_view text);
/// The functions below: REQUIRES is_utf8(text).
std::uint64_t count_points(std::string_view text);
/// Bytes of the code point that starts at `at`.
std::size_t point_bytes(std::string_view text, std::size_t at);
/// Byte offset of the n-th code point; text.size() if there are fewer.
std::size_t point_offset(std::string_view text, std::uint64_t n_points);
char32_t point_at(std::string_view text, std::size_t at);
void append_point(std::string& text, char32_t point);

bool is_space(char32_t point);
bool is_alpha(char32_t point);
bool is_decimal(char32_t point);
bool is_digit(char32_t point);
bool is_printable(char32_t point);
bool is_upper(char32_t point);
bool is_lower(char32_t point);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
/// First letter of each run of letters upper, the rest lower.
std::string to_title(std::string_view text);
std::string capitalize(std::string_view text);

/// Without leading or trailing whitespace, or code points that occur in `chars`.
std::string_view strip(std::string_view text, bool left, bool right);
std::string_view strip(std::string_view text, std::string_view chars, bool left, bool right);

/// As Python writes a string literal.
std::string quote(std::string_view text);

}  // namespace kvasir::jinja
