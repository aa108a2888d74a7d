// f16 and bf16 as bit patterns, to and from f32, round to nearest even.
#pragma once

#include <bit>
#include <cstdint>

#include "config/base/half_bits.h"

namespace kvasir {

inline float f16_to_f32(std::uint16_t h) {
    return shared::f16_bits_to_f32(h);
}

inline std::uint16_t f32_to_f16(float value) {
    return static_cast<std::uint16_t>(shared::f32_to_f16_bits(value));
}

inline float bf16_to_f32(std::uint16_t b) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16);
}

inline std::uint16_t f32_to_bf16(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace kvasir
