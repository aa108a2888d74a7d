// Q3_K: 256 elements in 110 bytes, 16 runs of 16. value = (d * (scale - 32)) * (code - 4)
//
//   byte   0 ..  31  third bits: element 32 j + i (i < 32) in bit j of byte i
//         32 ..  95  low bits: element 128 h + 32 j + i in bits 2 j and up of byte 32 + 32 h + i
//         96 .. 103  scales' low bits: run r < 8 in the low nibble of byte 96 + r, run 8 + r in its
//                    high
//        104 .. 107  scales' high bits: run 4 j + i (i < 4) in bits 2 j and up of byte 104 + i
//        108 .. 109  d, f16
//
// Source: block_q3_K, ggml/src/ggml-common.h; dequantize_row_q3_K, ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q3_k_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 110, "a Q3_K block is 110 bytes");
    out.scale = u16_at(block, 108);
    for (std::size_t r = 0; r < 16; ++r) {
        const std::uint32_t low = (byte_at(block, 96 + r % 8) >> r / 8 * 4) & 15U;
        const std::uint32_t high = (byte_at(block, 104 + r % 4) >> r / 4 * 2) & 3U;
        out.factors[r] = static_cast<std::int8_t>(static_cast<int>(low | high << 4U) - 32);
    }
    for (std::size_t e = 0; e < 256; ++e) {
        const std::uint32_t low = byte_at(block, 32 + e / 128 * 32 + e % 32) >> e % 128 / 32 * 2;
        const std::uint32_t high = byte_at(block, e % 32) >> e / 32;
        out.codes[e] = static_cast<std::uint8_t>((low & 3U) | (high & 1U) << 2U);
    }
}

void decode_q3_k_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "a Q3_K block is 256 elements");
    CodedBlock coded;
    read_q3_k_block(block, coded);
    values_around(coded, 16, 4, out);
}

}  // namespace kvasir
