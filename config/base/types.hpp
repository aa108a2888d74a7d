// The few names that every room shares.
#pragma once

#include <cstdint>

namespace kvasir {

using TokenId = std::uint32_t;

/// A page of the device pool: 32 consecutive tokens of one sequence, all layers. Dense, 0-based.
enum class PageId : std::uint32_t {};

constexpr std::uint32_t to_index(PageId id) {
    return static_cast<std::uint32_t>(id);
}

}  // namespace kvasir
