// One layer's KV pages in host-visible buffers, bound as KvStore's are; and what fills them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "quant/kv_page.hpp"
#include "tests/support/gpu_fixture.hpp"
#include "vk_kernels/kv_store.hpp"

namespace kvasir::gpu {

/// Every byte is 0xff at first: NaN as f16 and f32, scale and zero of quantized formats included.
class KvPages {
public:
    KvPages(Gpu& gpu, const KvPageShape& shape, std::uint32_t n_open, std::uint32_t pages_per_slab,
            std::uint32_t n_slabs)
        : shape_(shape),
          pages_per_slab_(pages_per_slab),
          open_(gpu.filled_buffer<std::uint32_t>(std::size_t{n_open} * shape.open_words())) {
        for (std::uint32_t s = 0; s < n_slabs; ++s)
            slabs_.push_back(gpu.filled_buffer<std::uint32_t>(std::size_t{pages_per_slab} *
                                                              shape.sealed_words()));
    }

    const KvPageShape& shape() const { return shape_; }
    std::uint32_t n_pages() const {
        return pages_per_slab_ * static_cast<std::uint32_t>(slabs_.size());
    }
    std::uint32_t n_open() const {
        return static_cast<std::uint32_t>(open_.bytes() / 4 / shape_.open_words());
    }
    std::span<std::uint32_t> open(std::uint32_t slot) const {
        return open_.mapped_as<std::uint32_t>().subspan(std::size_t{slot} * shape_.open_words(),
                                                        shape_.open_words());
    }
    std::span<std::uint32_t> page(std::uint32_t id) const {
        return slabs_[id / pages_per_slab_].mapped_as<std::uint32_t>().subspan(
            std::size_t{id % pages_per_slab_} * shape_.sealed_words(), shape_.sealed_words());
    }
    KvLayer layer() const {
        KvLayer layer{.formats = {shape_.key_format, shape_.value_format},
                      .open = open_.slice(),
                      .slabs = {},
                      .n_slabs = static_cast<std::uint32_t>(slabs_.size()),
                      .pages_per_slab = pages_per_slab_};
        for (std::size_t s = 0; s < layer.slabs.size(); ++s)
            layer.slabs[s] = slabs_[s < slabs_.size() ? s : 0].slice();
        return layer;
    }

private:
    KvPageShape shape_;
    std::uint32_t pages_per_slab_;
    Buffer open_;
    std::vector<Buffer> slabs_;
};

inline std::vector<std::uint32_t> shuffled(std::uint32_t n, std::mt19937& random) {
    std::vector<std::uint32_t> all(n);
    for (std::uint32_t i = 0; i < n; ++i) all[i] = i;
    std::ranges::shuffle(all, random);
    return all;
}

}  // namespace kvasir::gpu
