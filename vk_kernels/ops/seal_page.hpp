// seal_page: full open pages become sealed pages of the layer's format.
#pragma once

#include <map>
#include <utility>

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/shared/seal_page.h"

namespace kvasir::gpu {

class SealPage {
public:
    SealPage(Device& device, std::uint32_t n_kv_heads, std::uint32_t head_dim,
             std::uint32_t open_format)
        : device_(&device),
          n_kv_heads_(n_kv_heads),
          head_dim_(head_dim),
          open_format_(open_format) {}
    Result<> prepare(const KvFormats& formats);
    /// jobs: (n_jobs, 2) uint: open slot, page id; status: (n_jobs) uint, set to 1 for a page with
    /// a NaN or infinity. slabs: bit s set where a job's page lies in slab s. REQUIRES: prepare of
    /// the layer's formats.
    void record(Recorder& recorder, const Slice& jobs, const Slice& status, const KvLayer& kv,
                std::uint32_t n_jobs, std::uint32_t slabs) const;

private:
    using SealKernel = Kernel<shared::SealPagePush, 4, 5>;
    Device* device_;
    std::uint32_t n_kv_heads_;
    std::uint32_t head_dim_;
    std::uint32_t open_format_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, SealKernel> kernels_;
};

}  // namespace kvasir::gpu
