// Q8_0: 32 elements in 34 bytes. value = d * code
//
//   byte  0 ..  1  d, f16
//         2 .. 33  codes: element i is int8 2 + i
//
// Source: block_q8_0, ggml/src/ggml-common.h.
#include "config/base/check.hpp"
#include "quant/block_bytes.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void read_q8_0_block(std::span<const std::byte> block, CodedBlock& out) {
    KVASIR_CHECK(block.size() == 34, "a Q8_0 block is 34 bytes");
    out.scale = u16_at(block, 0);
    std::memcpy(out.codes.data(), block.data() + 2, 32);
}

void decode_q8_0_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(out.size() == 32, "a Q8_0 block is 32 elements");
    CodedBlock coded;
    read_q8_0_block(block, coded);
    const float scale = f16_to_f32(coded.scale);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = scale * static_cast<float>(static_cast<std::int8_t>(coded.codes[i]));
}

}  // namespace kvasir
