// Q4_1: 32 elements in 20 bytes. value = d * code + m
//
//   byte  0 ..  1  d, f16
//         2 ..  3  m, f16
//         4 .. 19  codes: element i < 16 in the low nibble of byte 4 + i, 16 + i in its high
//
// Source: block_q4_1, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/coded_values.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q4_1_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 20, "a Q4_1 block is 20 bytes");
    out.scale = u16_at(block, 0);
    out.minimum = u16_at(block, 2);
    read_nibbles(block.subspan(4, 16), std::span(out.codes).first(32));
}

void decode_q4_1_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "a Q4_1 block is 32 elements");
    CodedBlock coded;
    read_q4_1_block(block, coded);
    values_above_minimum(coded, out);
}

}  // namespace kvasir
