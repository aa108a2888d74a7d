// IQ4_XS: 256 elements in 136 bytes, 8 runs of 32. value = (d * (scale - 32)) * codebook[code], the
// codebook in quant_format.h
//
//   byte  0 ..   1  d, f16
//         2 ..   3  scales' high bits: run r in bits 2 r, 2 r + 1 of the word
//         4 ..   7  scales' low bits: run 2 i in the low nibble of byte 4 + i, 2 i + 1 in its high
//         8 .. 135  codes: element 32 r + i (i < 16) in the low nibble of byte 8 + 16 r + i,
//                   element 32 r + 16 + i in its high
//
// Source: block_iq4_xs, ggml/src/ggml-common.h; dequantize_row_iq4_xs, ggml/src/ggml-quants.c.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/reference_decoders.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {

void read_iq4_xs_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 136, "an IQ4_XS block is 136 bytes");
    out.scale = u16_at(block, 0);
    for (std::size_t r = 0; r < 8; ++r) {
        const std::uint32_t low = (byte_at(block, 4 + r / 2) >> r % 2 * 4) & 15U;
        const std::uint32_t high = (std::uint32_t{u16_at(block, 2)} >> r * 2) & 3U;
        out.factors[r] = static_cast<std::int8_t>(static_cast<int>(low | high << 4U) - 32);
        read_nibbles(block.subspan(8 + r * 16, 16), std::span(out.codes).subspan(r * 32, 32));
    }
}

void decode_iq4_xs_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 256, "an IQ4_XS block is 256 elements");
    CodedBlock coded;
    read_iq4_xs_block(block, coded);
    const float d = f16_to_f32(coded.scale);
    for (std::size_t e = 0; e < out.size(); ++e) {
        const float scale = d * static_cast<float>(coded.factors[e / 32]);
        out[e] = scale * static_cast<float>(
                             shared::format_codebook_value(shared::kFormatIQ4_XS, coded.codes[e]));
    }
}

}  // namespace kvasir
