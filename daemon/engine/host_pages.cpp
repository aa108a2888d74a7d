#include "daemon/engine/host_pages.hpp"

#include <algorithm>
#include <new>

#include "config/base/log.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kBlockSlots = 32;
constexpr std::uint64_t kMostSlots = 1U << 24U;

}  // namespace

HostPages::HostPages(Model& model, std::uint64_t budget_bytes)
    : model_(model),
      page_bytes_(model.kv().shape().page_bytes()),
      is_valid_(static_cast<std::size_t>(std::min(budget_bytes / page_bytes_, kMostSlots)), false),
      blocks_((is_valid_.size() + kBlockSlots - 1) / kBlockSlots) {}

Result<std::span<std::byte>> HostPages::bytes_of(HostSlot slot) {
    const std::size_t index = to_index(slot) / kBlockSlots;
    if (!blocks_[index]) {
        const std::uint64_t n =
            std::min<std::uint64_t>(kBlockSlots, n_slots() - index * kBlockSlots);
        blocks_[index].reset(new (std::nothrow) std::byte[n * page_bytes_]);
        if (!blocks_[index]) return Error{ErrorCode::exhausted, "no memory for the host tier"};
        allocated_bytes_ += n * page_bytes_;
    }
    return std::span(blocks_[index].get() + to_index(slot) % kBlockSlots * page_bytes_,
                     page_bytes_);
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
