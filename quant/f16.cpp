// F16: one little-endian IEEE half.
#include <cstdint>
#include <cstring>

#include "config/base/check.hpp"
#include "config/base/half.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void decode_f16_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(block.size() == 2 && out.size() == 1, "an F16 block is 2 bytes and 1 element");
    std::uint16_t bits = 0;
    std::memcpy(&bits, block.data(), sizeof(bits));
    out[0] = f16_to_f32(bits);
}

}  // namespace kvasir
