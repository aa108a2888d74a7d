// Q2_K: 256 elements in 84 bytes, 16 runs of 16. value = (d * scale) * code - (dmin * minimum)
//
//   byte  0 .. 15  run r: scale in the low nibble of byte r, minimum in its high
//        16 .. 79  codes: element 128 h + 32 j + i (i < 32) in bits 2 j and up of byte
//                  16 + 32 h + i
//        80 .. 81  d, f16
//        82 .. 83  dmin, f16
//
// Source: block_q2_K, ggml/src/ggml-common.h; dequantize_row_q2_K, ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q2_k_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 84, "a Q2_K block is 84 bytes");
    out.scale = u16_at(block, 80);
    out.minimum = u16_at(block, 82);
    for (std::size_t r = 0; r < 16; ++r) {
        out.factors[r] = static_cast<std::int8_t>(byte_at(block, r) & 15U);
        out.min_factors[r] = static_cast<std::uint8_t>(byte_at(block, r) >> 4U);
    }
    for (std::size_t e = 0; e < 256; ++e) {
        const std::uint32_t byte = byte_at(block, 16 + e / 128 * 32 + e % 32);
        out.codes[e] = static_cast<std::uint8_t>((byte >> e % 128 / 32 * 2) & 3U);
    }
}

void decode_q2_k_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "a Q2_K block is 256 elements");
    CodedBlock coded;
    read_q2_k_block(block, coded);
    values_less_minimums(coded, 16, out);
}

}  // namespace kvasir
