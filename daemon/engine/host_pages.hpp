// HostPages: the host tier: sealed pages in ordinary memory, within a budget.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cache/tier.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

/// Memory is taken a block of slots at a time, as slots are first used, and kept. Slots are reused
/// lowest first, so a tier that is never full never takes its whole budget.
class HostPages final : public PageMover {
public:
    /// As many slots as the budget holds. The model must outlive it, and keep its KV formats.
    /// scrub: a slot is zeroed when its content goes, its memory is locked and left out of dumps.
    HostPages(Model& model, std::uint64_t budget_bytes, bool scrub = false);

    std::uint32_t n_slots() const { return static_cast<std::uint32_t>(is_valid_.size()); }
    std::uint64_t allocated_bytes() const { return allocated_bytes_; }

    void save(PageId from, HostSlot to) noexcept override;
    bool load(HostSlot from, PageId to) noexcept override;
    void drop(HostSlot slot) noexcept override;
    /// The slot's content. False: it is not there.
    bool copy(HostSlot from, std::span<std::byte> to);

private:
    Result<std::span<std::byte>> bytes_of(HostSlot slot);

    struct Free {
        void operator()(std::byte* block) const { std::free(block); }  // NOLINT: of aligned_alloc
    };
    using Block = std::unique_ptr<std::byte, Free>;
    Block make_block(std::uint64_t bytes);

    Model& model_;
    const bool scrub_;
    const std::uint64_t page_bytes_;
    std::uint64_t allocated_bytes_ = 0;
    std::vector<bool> is_valid_;  // by slot
    std::vector<Block> blocks_;   // kBlockSlots each
    bool warned_ = false;         // that memory cannot be locked
};

}  // namespace kvasir
