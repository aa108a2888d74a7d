// The reference decoders behind FormatInfo::decode_block, one a format: plain loops that the
// shaders are tested against.
#pragma once

#include <cstddef>
#include <span>

namespace kvasir {

// REQUIRES: block holds one block's bytes, out one block's elements (F32, F16, BF16: one element).
void decode_f32_block(std::span<const std::byte> block, std::span<float> out);
void decode_f16_block(std::span<const std::byte> block, std::span<float> out);
void decode_bf16_block(std::span<const std::byte> block, std::span<float> out);
void decode_q8_0_block(std::span<const std::byte> block, std::span<float> out);
void decode_q4_0_block(std::span<const std::byte> block, std::span<float> out);

}  // namespace kvasir
