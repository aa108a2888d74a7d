// Reading a quantized block's fields. The file's byte order is little-endian, this machine's too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "config/base/half.hpp"

namespace kvasir {

inline std::uint32_t byte_at(std::span<const std::byte> block, std::size_t at) {
    return std::to_integer<std::uint32_t>(block[at]);
}

inline std::uint16_t u16_at(std::span<const std::byte> block, std::size_t at) {
    std::uint16_t value = 0;
    std::memcpy(&value, block.subspan(at, sizeof(value)).data(), sizeof(value));
    return value;
}

/// n codes of 4 bits from n / 2 bytes: code i < n / 2 in the low nibble of byte i, code n / 2 + i
/// in its high nibble.
inline void read_nibbles(std::span<const std::byte> bytes, std::span<std::uint8_t> codes) {
    const std::size_t half = codes.size() / 2;
    for (std::size_t i = 0; i < half; ++i) {
        codes[i] = static_cast<std::uint8_t>(byte_at(bytes, i) & 15U);
        codes[half + i] = static_cast<std::uint8_t>(byte_at(bytes, i) >> 4U);
    }
}

/// Adds bit i of a little-endian word to code i of 32, as its fifth bit.
inline void add_fifth_bits(std::span<const std::byte> bytes, std::span<std::uint8_t> codes) {
    for (std::size_t i = 0; i < 32; ++i)
        codes[i] =
            static_cast<std::uint8_t>(codes[i] | ((byte_at(bytes, i / 8) >> i % 8) & 1U) << 4U);
}

}  // namespace kvasir
