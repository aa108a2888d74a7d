#include "vk_kernels/kv_store.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kvasir::gpu {

std::uint64_t KvShape::page_bytes() const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) bytes += std::uint64_t{page_words(i)} * 4;
    return bytes;
}

Result<KvStore> KvStore::create(Device& device, KvShape shape, std::uint32_t n_pages,
                                std::uint32_t n_open_slots) {
    KvStore store;
    store.shape_ = std::move(shape);
    store.n_pages_ = std::max(n_pages, 1U);
    std::uint64_t largest_page = 0;
    for (std::size_t i = 0; i < store.shape_.layers.size(); ++i) {
        largest_page =
            std::max<std::uint64_t>(largest_page, std::uint64_t{store.shape_.page_words(i)} * 4);
    }
    const std::uint64_t max_per_slab = device.limits().max_binding_bytes / largest_page;
    if (max_per_slab * shared::kMaxSlabs < store.n_pages_) {
        return Error{
            ErrorCode::too_large,
            fmt::format("KV cache: {} pages asked for, {} fit {} bindings of {} bytes a layer",
                        store.n_pages_, max_per_slab * shared::kMaxSlabs, shared::kMaxSlabs,
                        device.limits().max_binding_bytes)};
    }
    // Small caches take one slab, so that kernels need no choice; larger ones grow a quarter at a
    // time.
    constexpr std::uint64_t kOneSlabBytes = 16U << 20U;
    const bool one_slab =
        store.n_pages_ <= max_per_slab && store.n_pages_ * largest_page <= kOneSlabBytes;
    store.n_slabs_ = one_slab ? 1 : shared::kMaxSlabs;
    store.pages_per_slab_ = (store.n_pages_ + store.n_slabs_ - 1) / store.n_slabs_;
    const std::uint64_t open_bytes =
        std::uint64_t{store.shape_.open_page_words()} * 4 * n_open_slots;
    if (open_bytes > device.limits().max_binding_bytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("open pages: {} slots take {} bytes a layer, a binding holds {}",
                                 n_open_slots, open_bytes, device.limits().max_binding_bytes)};
    }
    store.slabs_.resize(store.n_layers());
    for (std::uint32_t i = 0; i < store.n_layers(); ++i) {
        KVASIR_TRY(Buffer open, Buffer::create(device, open_bytes, BufferDomain::device));
        store.open_.push_back(std::move(open));
    }
    KVASIR_TRY_VOID(store.reserve_pages(device, 1));
    return store;
}

Result<> KvStore::reserve_pages(Device& device, std::uint32_t n_pages) {
    const std::uint32_t wanted =
        (std::min(n_pages, n_pages_) + pages_per_slab_ - 1) / pages_per_slab_;
    for (std::uint32_t i = 0; i < n_layers(); ++i) {
        while (slabs_[i].size() < wanted) {
            const std::uint64_t bytes = std::uint64_t{shape_.page_words(i)} * 4 * pages_per_slab_;
            KVASIR_TRY(Buffer slab, Buffer::create(device, bytes, BufferDomain::device));
            slabs_[i].push_back(std::move(slab));
        }
    }
    return {};
}

KvLayer KvStore::layer(std::uint32_t i) const {
    KvLayer layer{.formats = shape_.layers[i],
                  .open = open_[i].slice(),
                  .slabs = {},
                  .n_slabs = n_slabs_,
                  .pages_per_slab = pages_per_slab_};
    for (std::uint32_t s = 0; s < shared::kMaxSlabs; ++s)
        layer.slabs[s] = slabs_[i][s < slabs_[i].size() ? s : 0].slice();
    return layer;
}

Slice KvStore::page(std::uint32_t layer, std::uint32_t index) const {
    const std::uint64_t bytes = std::uint64_t{shape_.page_words(layer)} * 4;
    return slabs_[layer][index / pages_per_slab_].slice(index % pages_per_slab_ * bytes, bytes);
}

Slice KvStore::open_page(std::uint32_t layer, std::uint32_t slot) const {
    const std::uint64_t bytes = std::uint64_t{shape_.open_page_words()} * 4;
    return open_[layer].slice(slot * bytes, bytes);
}

std::uint64_t KvStore::allocated_bytes() const {
    std::uint64_t bytes = 0;
    for (const Buffer& open : open_) bytes += open.bytes();
    for (const auto& layer : slabs_) {
        for (const Buffer& slab : layer) bytes += slab.bytes();
    }
    return bytes;
}

}  // namespace kvasir::gpu
