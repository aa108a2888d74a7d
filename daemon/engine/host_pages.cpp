#include "daemon/engine/host_pages.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <system_error>
#include <utility>

#include "config/base/log.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kBlockSlots = 32;
constexpr std::uint64_t kMostSlots = 1U << 24U;

}  // namespace

HostPages::HostPages(Model& model, std::uint64_t budget_bytes, bool scrub)
    : model_(model),
      scrub_(scrub),
      page_bytes_(model.kv().shape().page_bytes()),
      is_valid_(static_cast<std::size_t>(std::min(budget_bytes / page_bytes_, kMostSlots)), false),
      blocks_((is_valid_.size() + kBlockSlots - 1) / kBlockSlots) {}

Result<std::span<std::byte>> HostPages::bytes_of(HostSlot slot) {
    const std::size_t index = to_index(slot) / kBlockSlots;
    if (!blocks_[index]) {
        const std::uint64_t n =
            std::min<std::uint64_t>(kBlockSlots, n_slots() - index * kBlockSlots);
        blocks_[index] = make_block(n * page_bytes_);
        if (!blocks_[index]) return Error{ErrorCode::exhausted, "no memory for the host tier"};
        allocated_bytes_ += n * page_bytes_;
    }
    return std::span(blocks_[index].get() + to_index(slot) % kBlockSlots * page_bytes_,
                     page_bytes_);
}

/// On pages of the system's own, so that locking them concerns nothing else.
HostPages::Block HostPages::make_block(std::uint64_t bytes) {
    constexpr std::uint64_t kSystemPage = 65536;  // the largest there is
    const std::uint64_t whole = (bytes + kSystemPage - 1) / kSystemPage * kSystemPage;
    Block block(static_cast<std::byte*>(std::aligned_alloc(kSystemPage, whole)));
    if (!block || !scrub_) return block;
    (void)::madvise(block.get(), whole, MADV_DONTDUMP);
    if (::mlock(block.get(), whole) != 0 && !std::exchange(warned_, true)) {
        log_warn("host tier may be swapped out",
                 {{"reason", std::generic_category().message(errno)},
                  {"try", "a higher limit for locked memory (LimitMEMLOCK=)"}});
    }
    return block;
}

void HostPages::drop(HostSlot slot) noexcept {
    is_valid_[to_index(slot)] = false;
    if (!scrub_) return;
    if (const auto bytes = bytes_of(slot); bytes.has_value()) wipe(*bytes);
}

void HostPages::save(PageId from, HostSlot to) noexcept {
    const auto bytes = bytes_of(to);
    const auto saved = bytes.has_error() ? Result<>(bytes.error()) : model_.read_page(from, *bytes);
    is_valid_[to_index(to)] = !saved.has_error();
    if (saved.has_error()) log_warn("page not saved", {{"error", saved.error().message}});
}

bool HostPages::load(HostSlot from, PageId to) noexcept {
    if (!is_valid_[to_index(from)]) return false;
    const auto bytes = bytes_of(from);
    if (bytes.has_error()) return false;
    const auto loaded = model_.write_page(to, *bytes);
    if (loaded.has_error()) log_warn("page not loaded", {{"error", loaded.error().message}});
    return !loaded.has_error();
}

bool HostPages::copy(HostSlot from, std::span<std::byte> to) {
    if (!is_valid_[to_index(from)]) return false;
    const auto bytes = bytes_of(from);
    if (bytes.has_error()) return false;
    std::ranges::copy(*bytes, to.begin());
    return true;
}

}  // namespace kvasir
