// The functions behind FormatInfo, one file a format: what a block's bits are, and the reference
// decoders, plain loops that the shaders are tested against.
#pragma once

#include <cstddef>
#include <span>

#include "quant/format.hpp"

namespace kvasir {

// REQUIRES: block holds one block's bytes, out one block's elements (F32, F16, BF16: one element).
void decode_f32_block(std::span<const std::byte> block, std::span<float> out);
void decode_f16_block(std::span<const std::byte> block, std::span<float> out);
void decode_bf16_block(std::span<const std::byte> block, std::span<float> out);
void decode_q8_0_block(std::span<const std::byte> block, std::span<float> out);
void decode_q4_0_block(std::span<const std::byte> block, std::span<float> out);
void decode_q4_1_block(std::span<const std::byte> block, std::span<float> out);
void decode_q5_0_block(std::span<const std::byte> block, std::span<float> out);
void decode_q5_1_block(std::span<const std::byte> block, std::span<float> out);
void decode_q2_k_block(std::span<const std::byte> block, std::span<float> out);
void decode_q3_k_block(std::span<const std::byte> block, std::span<float> out);
void decode_q4_k_block(std::span<const std::byte> block, std::span<float> out);
void decode_q5_k_block(std::span<const std::byte> block, std::span<float> out);
void decode_q6_k_block(std::span<const std::byte> block, std::span<float> out);
void decode_iq4_nl_block(std::span<const std::byte> block, std::span<float> out);
void decode_iq4_xs_block(std::span<const std::byte> block, std::span<float> out);
void decode_mxfp4_block(std::span<const std::byte> block, std::span<float> out);

// REQUIRES: block holds one block's bytes.
void read_q8_0_block(std::span<const std::byte> block, CodedBlock& out);
void read_q4_0_block(std::span<const std::byte> block, CodedBlock& out);
void read_q4_1_block(std::span<const std::byte> block, CodedBlock& out);
void read_q5_0_block(std::span<const std::byte> block, CodedBlock& out);
void read_q5_1_block(std::span<const std::byte> block, CodedBlock& out);
void read_q2_k_block(std::span<const std::byte> block, CodedBlock& out);
void read_q3_k_block(std::span<const std::byte> block, CodedBlock& out);
void read_q4_k_block(std::span<const std::byte> block, CodedBlock& out);
void read_q5_k_block(std::span<const std::byte> block, CodedBlock& out);
void read_q6_k_block(std::span<const std::byte> block, CodedBlock& out);
void read_iq4_nl_block(std::span<const std::byte> block, CodedBlock& out);
void read_iq4_xs_block(std::span<const std::byte> block, CodedBlock& out);
void read_mxfp4_block(std::span<const std::byte> block, CodedBlock& out);

/// Scales and minimums of the eight runs of a Q4_K or Q5_K block: 6 bits each, 12 bytes in all.
void read_six_bit_pairs(std::span<const std::byte> bytes, CodedBlock& out);

}  // namespace kvasir
