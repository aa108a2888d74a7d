// MXFP4: 32 elements in 17 bytes. value = 2^(e - 128) * codebook[code]; codebook: quant_format.h
//
//   byte  0        e
//         1 .. 16  codes: element i < 16 in the low nibble of byte 1 + i, 16 + i in its high
//
// Source: block_mxfp4, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/reference_decoders.hpp"
#include "quant/shared/quant_format.h"

namespace kvasir {

void read_mxfp4_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 17, "an MXFP4 block is 17 bytes");
    out.scale = static_cast<std::uint16_t>(byte_at(block, 0));
    read_nibbles(block.subspan(1, 16), std::span(out.codes).first(32));
}

void decode_mxfp4_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "an MXFP4 block is 32 elements");
    CodedBlock coded;
    read_mxfp4_block(block, coded);
    const float scale = shared::format_exponent_scale(coded.scale);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = scale * static_cast<float>(
                             shared::format_codebook_value(shared::kFormatMXFP4, coded.codes[i]));
}

}  // namespace kvasir
