#include "vk_kernels/ops/attention.hpp"

#include <algorithm>

#include "config/base/check.hpp"
#include "spv/attention_merge.h"
#include "spv/attention_paged.h"
#include "spv/attention_paged_cpu.h"
#include "spv/attention_paged_shuffle.h"

namespace kvasir::gpu {
namespace {

constexpr std::uint32_t kMergeThreads = 64;

}  // namespace

/// A GPU keeps rows in registers; whether sharers gain is measured at load (tune_attention.hpp).
/// lavapipe spills from two rows on, and its pages are in the core's cache anyway: over 4,096
/// tokens a row alone takes 0.6 (f16), 0.35 (int8), 0.25 (int4) of the time that it takes among
/// four; two sequences together 1.3, 2.3, 4.8 of what they take each for itself (bench_attention).
AttentionTiling tiling_for(const DeviceLimits& limits) {
    if (limits.is_cpu) return {};
    return {.n_rows = 4, .n_sharers = kMostSharers};
}

Attention::Attention(Device& device, const HeadShape& heads, std::uint32_t open_format,
                     float score_scale, float score_cap,
                     const std::optional<AttentionTiling>& tiling)
    : device_(&device),
      heads_(heads),
      open_format_(open_format),
      score_scale_(score_scale),
      score_cap_(score_cap) {
    const DeviceLimits& limits = device.limits();
    shuffle_ =
        limits.has_fixed_subgroup &&
        (limits.subgroup_size == 8 || limits.subgroup_size == 16 || limits.subgroup_size == 32);
    lanes_ = shuffle_ ? limits.subgroup_size : shared::kPageTokens;
    const AttentionTiling chosen = tiling.value_or(tiling_for(limits));
    heads_per_group_ = std::min(heads.n_heads / heads.n_kv_heads, chosen.n_rows);
    tile_tokens_ = chosen.n_rows / heads_per_group_;
    n_sharers_ = chosen.n_sharers;
}

Result<> Attention::prepare(const KvFormats& formats, std::uint32_t n_slabs,
                            const AttentionReach& reach) {
    const std::tuple key(formats.keys, formats.values, n_slabs, reach.kind());
    if (kernels_.contains(key)) return {};
    // The kinds of builds differ in how lanes exchange values and read memory, not in arithmetic.
    std::span<const std::uint32_t> spirv = attention_paged_spv;
    TexelBindings texels;
    if (shuffle_ && device_->limits().is_cpu) {
        spirv = attention_paged_cpu_spv;
        texels.words = 1U << shared::kAttentionQ | 1U << shared::kAttentionOpen |
                       1U << shared::kAttentionSinkQ | 0xfU << shared::kAttentionPages0;
    } else if (shuffle_) {
        spirv = attention_paged_shuffle_spv;
    }
    const auto create = [&](std::uint32_t tokens, std::uint32_t is_shared) {
        return AttentionKernel::create(
            *device_, "attention_paged", spirv,
            {lanes_, heads_.head_dim, heads_per_group_, tokens, formats.keys, formats.values,
             open_format_, n_slabs, score_cap_ > 0 ? 1U : 0U, reach.kind(), is_shared},
            texels);
    };
    Variants variants;
    KVASIR_TRY(variants.single, create(1, 0));
    KVASIR_TRY(variants.many, create(tile_tokens_, 0));
    if (n_sharers_ > 0 && reach.kind() == shared::kReachAll) {
        KVASIR_TRY(variants.shared, create(n_sharers_, 1));
    }
    kernels_.emplace(key, std::move(variants));
    if (kernels_.size() == 1) {
        KVASIR_TRY(merge_, MergeKernel::create(*device_, "attention_merge", attention_merge_spv,
                                               {heads_.head_dim, kMergeThreads}));
    }
    return {};
}

std::uint64_t Attention::partial_bytes(std::uint32_t n_rows, std::uint32_t max_splits) const {
    return std::uint64_t{n_rows} * heads_.n_heads * max_splits * (heads_.head_dim + 2) * 4;
}

std::uint32_t Attention::splits_apart(std::uint32_t n_tiles, std::uint32_t most_splits) const {
    constexpr std::uint32_t kEnoughWorkgroups = 256;  // about two a core of a large GPU
    if (device_->limits().is_cpu || most_splits < 2) return 0;
    return n_tiles * heads_.n_kv_heads < kEnoughWorkgroups ? most_splits : 0;
}

void Attention::record(Recorder& recorder, const Slice& q, const KvLayer& kv, const Work& work,
                       const Slice& partials, const Slice& out, const AttentionReach& reach,
                       const Slice& sink_q) const {
    const auto found =
        kernels_.find({kv.formats.keys, kv.formats.values, kv.n_slabs, reach.kind()});
    KVASIR_CHECK(found != kernels_.end(),
                 "attention: formats are prepared before they are recorded");
    const std::uint32_t n_rep = heads_.n_heads / heads_.n_kv_heads;
    const std::uint32_t chunks = (n_rep + heads_per_group_ - 1) / heads_per_group_;
    const shared::AttentionPush push{.n_heads = heads_.n_heads,
                                     .n_kv_heads = heads_.n_kv_heads,
                                     .pages_per_slab = kv.pages_per_slab,
                                     .max_splits = work.max_splits,
                                     .score_scale = score_scale_,
                                     .score_cap = score_cap_,
                                     .window = reach.window,
                                     .n_sinks = reach.n_sinks};
    const auto attend = [&](const AttentionKernel& kernel, const Slice& tiles,
                            std::uint32_t n_tiles, std::uint32_t n_splits) {
        kernel.record(recorder,
                      {q, tiles, work.table, kv.open, out, partials, kv.slabs[0], kv.slabs[1],
                       kv.slabs[2], kv.slabs[3], reach.kind() == shared::kReachSinks ? sink_q : q},
                      push, {.x = n_tiles, .y = heads_.n_kv_heads * chunks, .z = n_splits});
    };
    if (work.n_shared_tiles > 0 && reach.kind() == shared::kReachAll)
        attend(found->second.shared, work.shared_tiles, work.n_shared_tiles, work.n_shared_splits);
    attend(work.single_tokens ? found->second.single : found->second.many, work.tiles, work.n_tiles,
           std::max(work.max_splits, 1U));
    if (work.max_splits == 0) return;
    const shared::AttentionMergePush merge{.n_rows = work.n_rows,
                                           .n_heads = heads_.n_heads,
                                           .max_splits = work.max_splits,
                                           .window = reach.window,
                                           .n_sinks = reach.n_sinks};
    const std::uint32_t n = work.n_rows * heads_.n_heads * heads_.head_dim;
    merge_.record(recorder, {work.merge_rows, partials, out}, merge,
                  {.x = (n + kMergeThreads - 1) / kMergeThreads});
}

}  // namespace kvasir::gpu
