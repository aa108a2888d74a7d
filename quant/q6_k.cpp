// Q6_K: 256 elements in 210 bytes, 16 runs of 16. value = (d * scale) * (code - 32)
//
//   byte   0 .. 127  low bits: element 128 h + 32 j + i (i < 32) in byte 64 h + 32 (j % 2) + i, in
//                    its low nibble for j < 2, else in its high
//        128 .. 191  high bits: element 128 h + 32 j + i in bits 2 j and up of byte 128 + 32 h + i
//        192 .. 207  scale of run r: int8 192 + r
//        208 .. 209  d, f16
//
// Source: block_q6_K, ggml/src/ggml-common.h; dequantize_row_q6_K, ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q6_k_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 210, "a Q6_K block is 210 bytes");
    out.scale = u16_at(block, 208);
    std::memcpy(out.factors.data(), block.data() + 192, 16);
    for (std::size_t h = 0; h < 2; ++h) {
        const auto codes = std::span(out.codes).subspan(h * 128, 128);
        read_nibbles(block.subspan(h * 64, 64), codes);
        for (std::size_t e = 0; e < 128; ++e) {
            const std::uint32_t high = (byte_at(block, 128 + h * 32 + e % 32) >> e / 32 * 2) & 3U;
            codes[e] = static_cast<std::uint8_t>(codes[e] | high << 4U);
        }
    }
}

void decode_q6_k_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "a Q6_K block is 256 elements");
    CodedBlock coded;
    read_q6_k_block(block, coded);
    values_around(coded, 16, 32, out);
}

}  // namespace kvasir
