// Q5_0: 32 elements in 22 bytes. value = d * (code - 16)
//
//   byte  0 ..  1  d, f16
//         2 ..  5  fifth bits: element i in bit i of the word
//         6 .. 21  low bits: element i < 16 in the low nibble of byte 6 + i, element 16 + i in its
//                  high
//
// Source: block_q5_0, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q5_0_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 22, "a Q5_0 block is 22 bytes");
    out.scale = u16_at(block, 0);
    read_nibbles(block.subspan(6, 16), std::span(out.codes).first(32));
    add_fifth_bits(block.subspan(2, 4), out.codes);
}

void decode_q5_0_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "a Q5_0 block is 32 elements");
    CodedBlock coded;
    read_q5_0_block(block, coded);
    const float scale = f16_to_f32(coded.scale);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = scale * static_cast<float>(coded.codes[i] - 16);
}

}  // namespace kvasir
