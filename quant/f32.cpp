// F32: one little-endian float.
#include <cstring>

#include "config/base/check.hpp"
#include "quant/reference_decoders.hpp"

namespace kvasir {

void decode_f32_block(std::span<const std::byte> block, std::span<float> out) {
    KVASIR_CHECK(block.size() == 4 && out.size() == 1, "an F32 block is 4 bytes and 1 element");
    std::memcpy(out.data(), block.data(), 4);
}

}  // namespace kvasir
