// Q5_1: 32 elements in 24 bytes. value = d * code + m
//
//   byte  0 ..  1  d, f16
//         2 ..  3  m, f16
//         4 ..  7  fifth bits: element i in bit i of the word
//         8 .. 23  low bits: element i < 16 in the low nibble of byte 8 + i, element 16 + i in its
//                  high
//
// Source: block_q5_1, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q5_1_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 24, "a Q5_1 block is 24 bytes");
    out.scale = u16_at(block, 0);
    out.minimum = u16_at(block, 2);
    read_nibbles(block.subspan(8, 16), std::span(out.codes).first(32));
    add_fifth_bits(block.subspan(4, 4), out.codes);
}

void decode_q5_1_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "a Q5_1 block is 32 elements");
    CodedBlock coded;
    read_q5_1_block(block, coded);
    values_above_minimum(coded, out);
}

}  // namespace kvasir
