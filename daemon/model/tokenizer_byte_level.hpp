// Byte-level vocabularies write every byte as one printable character (a space is U+0120); this is
// that alphabet. Source: bytes_to_unicode in the code published with GPT-2.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir {

/// The character that stands for a byte, as UTF-8.
std::string byte_level_text(std::uint8_t byte);

/// The bytes that a token's text stands for. Characters outside the alphabet stand for their own
/// UTF-8 bytes.
std::string byte_level_decode(std::string_view token_text);

}  // namespace kvasir
