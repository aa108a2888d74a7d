// Q5_K: 256 elements in 176 bytes, 8 runs of 32. value = (d * scale) * code - (dmin * minimum)
//
//   byte  0 ..   1  d, f16
//         2 ..   3  dmin, f16
//         4 ..  15  scales and minimums, as in Q4_K
//        16 ..  47  fifth bits: element 32 j + i (i < 32) in bit j of byte 16 + i
//        48 .. 175  low bits: element 64 p + i (i < 32) in the low nibble of byte 48 + 32 p + i,
//                   element 64 p + 32 + i in its high
//
// Source: block_q5_K, ggml/src/ggml-common.h; dequantize_row_q5_K, ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q5_k_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 176, "a Q5_K block is 176 bytes");
    out.scale = u16_at(block, 0);
    out.minimum = u16_at(block, 2);
    read_six_bit_pairs(block.subspan(4, 12), out);
    for (std::size_t p = 0; p < 4; ++p)
        read_nibbles(block.subspan(48 + p * 32, 32), std::span(out.codes).subspan(p * 64, 64));
    for (std::size_t e = 0; e < 256; ++e) {
        const std::uint32_t fifth = (byte_at(block, 16 + e % 32) >> e / 32) & 1U;
        out.codes[e] = static_cast<std::uint8_t>(out.codes[e] | fifth << 4U);
    }
}

void decode_q5_k_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "a Q5_K block is 256 elements");
    CodedBlock coded;
    read_q5_k_block(block, coded);
    values_less_minimums(coded, 32, out);
}

}  // namespace kvasir
