// Q4_0: 32 elements in 18 bytes. Bytes 0-1: f16 scale d; bytes 2-17: 4-bit codes, element i < 16 in
// the low nibble of byte 2 + i, element 16 + i in its high nibble. value = d * (code - 8). Source:
// block_q4_0, ggml/src/ggml-common.h.
#include <cstdint>
#include <cstring>

#include "config/base/check.hpp"
#include "config/base/half.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void decode_q4_0_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(block.size() == 18 && out.size() == 32, "a Q4_0 block is 18 bytes, 32 elements");
    std::uint16_t scale_bits = 0;
    std::memcpy(&scale_bits, block.data(), sizeof(scale_bits));
    const float scale = f16_to_f32(scale_bits);
    for (std::size_t i = 0; i < 16; ++i) {
        const int codes = std::to_integer<int>(block[2 + i]);
        out[i] = scale * static_cast<float>((codes & 0xf) - 8);
        out[16 + i] = scale * static_cast<float>((codes >> 4) - 8);
    }
}

}  // namespace kvasir
