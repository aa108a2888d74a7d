// Q4_K: 256 elements in 144 bytes, 8 runs of 32. value = (d * scale) * code - (dmin * minimum)
//
//   byte  0 ..   1  d, f16
//         2 ..   3  dmin, f16
//         4 ..  15  scales and minimums, 6 bits each; for r < 4:
//                     byte 4 + r   low 6: scale of run r      high 2: top of scale of run 4 + r
//                     byte 8 + r   low 6: minimum of run r    high 2: top of minimum of run 4 + r
//                     byte 12 + r  low 4: scale of run 4 + r  high 4: minimum of run 4 + r
//        16 .. 143  codes: element 64 p + i (i < 32) in the low nibble of byte 16 + 32 p + i,
//                   element 64 p + 32 + i in its high
//
// Source: block_q4_K, ggml/src/ggml-common.h; get_scale_min_k4 and dequantize_row_q4_K,
// ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_six_bit_pairs(std::span<const std::byte> bytes, CodedBlock& out) {
    for (std::size_t r = 0; r < 4; ++r) {
        const std::uint32_t a = byte_at(bytes, r);
        const std::uint32_t b = byte_at(bytes, 4 + r);
        const std::uint32_t c = byte_at(bytes, 8 + r);
        out.factors[r] = static_cast<std::int8_t>(a & 63U);
        out.min_factors[r] = static_cast<std::uint8_t>(b & 63U);
        out.factors[4 + r] = static_cast<std::int8_t>((c & 15U) | a >> 6U << 4U);
        out.min_factors[4 + r] = static_cast<std::uint8_t>(c >> 4U | b >> 6U << 4U);
    }
}

void read_q4_k_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 144, "a Q4_K block is 144 bytes");
    out.scale = u16_at(block, 0);
    out.minimum = u16_at(block, 2);
    read_six_bit_pairs(block.subspan(4, 12), out);
    for (std::size_t p = 0; p < 4; ++p)
        read_nibbles(block.subspan(16 + p * 32, 32), std::span(out.codes).subspan(p * 64, 64));
}

void decode_q4_k_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "a Q4_K block is 256 elements");
    CodedBlock coded;
    read_q4_k_block(block, coded);
    values_less_minimums(coded, 32, out);
}

}  // namespace kvasir
