// Where a page can live besides the device, and who carries it there.
#pragma once

#include <cstdint>

#include "cache/page_pool.hpp"

namespace kvasir {

enum class Tier : std::uint8_t { device, host };

/// A place for one sealed page in host memory.
enum class HostSlot : std::uint32_t {};
constexpr HostSlot kNoSlot{0xffffffffU};
constexpr std::uint32_t to_index(HostSlot slot) {
    return static_cast<std::uint32_t>(slot);
}

/// Copies sealed bytes as they are: nothing is requantized. Called between steps only, so the
/// device reads and writes no page meanwhile. Must not throw.
class PageMover {
public:
    virtual ~PageMover() = default;
    /// Where it fails, the slot's content is void: loading it fails too.
    virtual void save(PageId from, HostSlot to) noexcept = 0;
    /// False: the content is not there, and the page holds nothing of use.
    virtual bool load(HostSlot from, PageId to) noexcept = 0;
    /// The slot's content is not needed any more.
    virtual void drop(HostSlot slot) noexcept = 0;
};

}  // namespace kvasir
