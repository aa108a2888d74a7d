// KvStore: the device memory of the KV cache. Pages are named by PageId; which page holds what is
// cache/'s business.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "quant/shared/kv_format.h"
#include "vk_kernels/buffer.hpp"
#include "vk_kernels/shared/attention_paged.h"

namespace kvasir::gpu {

struct KvFormats {
    std::uint32_t keys = shared::kKvF16;
    std::uint32_t values = shared::kKvF16;
    bool operator==(const KvFormats&) const = default;
};

struct KvShape {
    std::uint32_t n_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::vector<KvFormats> layers;  // sealed pages, one entry a layer
    std::uint32_t open_format =
        shared::kKvF16;  // kKvF32 only in the reference mode, with f32 layers

    std::uint32_t page_words(std::size_t layer) const {
        return shared::kv_page_words(layers[layer].keys, layers[layer].values, n_kv_heads,
                                     head_dim);
    }
    std::uint32_t open_page_words() const {
        return shared::kv_page_words(open_format, open_format, n_kv_heads, head_dim);
    }
    /// Bytes of one sealed page over all layers.
    std::uint64_t page_bytes() const;
    std::uint64_t open_page_bytes() const {
        return std::uint64_t{open_page_words()} * 4 * layers.size();
    }
};

/// What a kernel binds of one layer.
struct KvLayer {
    KvFormats formats;
    Slice open;                                  // (n_open_slots) pages, open format
    std::array<Slice, shared::kMaxSlabs> slabs;  // sealed pages; unused entries repeat the first
    std::uint32_t n_slabs = 1;
    std::uint32_t pages_per_slab = 0;
};

/// Each layer has a chain of up to kMaxSlabs equal slabs, allocated when first needed and kept
/// until the store dies: a page that is free in the pool is not given back to the driver. Open
/// slots are allocated at create.
class KvStore {
public:
    /// Errors: exhausted, too_large (n_pages do not fit kMaxSlabs bindings: the message says how
    /// many do).
    static Result<KvStore> create(Device& device, KvShape shape, std::uint32_t n_pages,
                                  std::uint32_t n_open_slots);

    const KvShape& shape() const { return shape_; }
    std::uint32_t n_layers() const { return static_cast<std::uint32_t>(shape_.layers.size()); }
    std::uint32_t n_slabs() const { return n_slabs_; }
    /// Allocates every slab that pages below n_pages lie in. Errors: exhausted.
    Result<> reserve_pages(Device& device, std::uint32_t n_pages);
    KvLayer layer(std::uint32_t i) const;
    bool has_page(std::uint32_t index) const {
        return index < std::uint64_t{n_slabs_} * pages_per_slab_;
    }
    /// One layer's bytes of a sealed page. REQUIRES: reserved.
    Slice page(std::uint32_t layer, std::uint32_t index) const;
    Slice open_page(std::uint32_t layer, std::uint32_t slot) const;
    /// Bytes asked of the driver for slabs and open slots.
    std::uint64_t allocated_bytes() const;

private:
    KvShape shape_;
    std::uint32_t n_pages_ = 0;
    std::uint32_t n_slabs_ = 0;
    std::uint32_t pages_per_slab_ = 0;
    std::vector<Buffer> open_;                // one a layer
    std::vector<std::vector<Buffer>> slabs_;  // [layer][slab], as far as allocated
};

}  // namespace kvasir::gpu
