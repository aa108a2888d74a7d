#include "vk_kernels/ops/seal_page.hpp"

#include "config/base/check.hpp"
#include "spv/seal_page.h"

namespace kvasir::gpu {
namespace {
constexpr std::uint32_t kThreads = 64;
}

Result<> SealPage::prepare(const KvFormats& formats) {
    const std::pair key(formats.keys, formats.values);
    if (kernels_.contains(key)) return {};
    KVASIR_TRY(SealKernel kernel, SealKernel::create(*device_, "seal_page", seal_page_spv,
                                                     {head_dim_, formats.keys, formats.values,
                                                      open_format_, kThreads}));
    kernels_.emplace(key, std::move(kernel));
    return {};
}

void SealPage::record(Recorder& recorder, const Slice& jobs, const Slice& status, const KvLayer& kv,
                      std::uint32_t n_jobs, std::uint32_t slabs) const {
    const auto found = kernels_.find({kv.formats.keys, kv.formats.values});
    KVASIR_CHECK(found != kernels_.end(),
                 "seal_page: formats are prepared before they are recorded");
    for (std::uint32_t slab = 0; slab < kv.n_slabs; ++slab) {
        if ((slabs >> slab & 1U) == 0) continue;
        const shared::SealPagePush push{
            .n_kv_heads = n_kv_heads_, .pages_per_slab = kv.pages_per_slab, .slab = slab};
        found->second.record(recorder, {jobs, kv.open, kv.slabs[slab], status}, push,
                             {.x = n_jobs, .y = n_kv_heads_});
    }
}

}  // namespace kvasir::gpu
