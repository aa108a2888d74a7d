// What a compiled shader wants: the sizes and numbers that Kernel compares with its host type.
#pragma once

#include <cstdint>
#include <span>

#include "config/base/error.hpp"

namespace kvasir::gpu {

struct SpirvInterface {
    std::uint32_t push_bytes = 0;
    std::uint32_t binding_mask = 0;  // bit b: descriptor binding b of set 0 is declared
    std::uint32_t spec_mask = 0;     // bit s: specialization constant s is declared
};

/// Errors: corrupt (not SPIR-V, truncated), unsupported (numbers over 31, or a type the shared
/// headers do not allow).
Result<SpirvInterface> reflect_spirv(std::span<const std::uint32_t> words);

}  // namespace kvasir::gpu
