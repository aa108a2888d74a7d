// IQ4_NL: 32 elements in 18 bytes. value = d * codebook[code], the codebook in quant_format.h
//
//   byte  0 ..  1  d, f16
//         2 .. 17  codes: element i < 16 in the low nibble of byte 2 + i, 16 + i in its high
//
// Source: block_iq4_nl, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/reference_decoders.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {

void read_iq4_nl_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 18, "an IQ4_NL block is 18 bytes");
    out.scale = u16_at(block, 0);
    read_nibbles(block.subspan(2, 16), std::span(out.codes).first(32));
}

void decode_iq4_nl_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "an IQ4_NL block is 32 elements");
    CodedBlock coded;
    read_iq4_nl_block(block, coded);
    const float scale = f16_to_f32(coded.scale);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = scale * static_cast<float>(
                             shared::format_codebook_value(shared::kFormatIQ4_NL, coded.codes[i]));
}

}  // namespace kvasir
