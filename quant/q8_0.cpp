// Q8_0: 32 elements in 34 bytes. Bytes 0-1: f16 scale d; bytes 2-33: int8 code i. value = d * code.
// Source: block_q8_0, ggml/src/ggml-common.h.
#include <cstdint>
#include <cstring>

#include "config/base/check.hpp"
#include "config/base/half.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void decode_q8_0_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(block.size() == 34 && out.size() == 32, "a Q8_0 block is 34 bytes, 32 elements");
    std::uint16_t scale_bits = 0;
    std::memcpy(&scale_bits, block.data(), sizeof(scale_bits));
    const float scale = f16_to_f32(scale_bits);
    for (std::size_t i = 0; i < 32; ++i)
        out[i] = scale * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
}

}  // namespace kvasir
