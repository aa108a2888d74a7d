#include "daemon/model/tune_attention.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace kvasir {
namespace {

constexpr std::uint32_t kSplits = 3;  // shared; a fourth is each sequence's own
constexpr std::uint32_t kRounds = 7;
constexpr double kWorthIt = 0.95;

/// One step in which n sequences decode behind one prefix, all on the same pages.
struct Step {
    gpu::Buffer upload;
    gpu::Attention::Work together;
    gpu::Attention::Work apart;
};

Result<Step> make_step(gpu::Device& device, const gpu::KvStore& kv, std::uint32_t n) {
    constexpr std::uint32_t kPages = kSplits * shared::kSplitPages;
    const std::uint64_t alignment = std::max<std::uint64_t>(device.limits().binding_alignment, 16);
    const auto align = [&](std::uint64_t at) {
        return (at + alignment - 1) / alignment * alignment;
    };
    const std::uint64_t tile_bytes = n * sizeof(shared::AttentionTile);
    const std::uint64_t table_bytes = (kPages + n) * 4;
    const std::uint64_t own_at = align(tile_bytes);
    const std::uint64_t shared_at = align(own_at + tile_bytes);
    const std::uint64_t table_at = align(shared_at + sizeof(shared::AttentionTile));
    const std::uint64_t merge_at = align(table_at + table_bytes);
    Step step;
    KVASIR_TRY(step.upload, gpu::Buffer::create(device, merge_at + std::uint64_t{n} * 8,
                                                gpu::BufferDomain::upload));
    const auto words = [&](std::uint64_t at) {
        return reinterpret_cast<std::uint32_t*>(step.upload.mapped().data() + at);
    };
    const auto tiles = [&](std::uint64_t at) {
        return reinterpret_cast<shared::AttentionTile*>(step.upload.mapped().data() + at);
    };
    for (std::uint32_t i = 0; i < n; ++i) {
        const shared::AttentionTile whole{.first_row = i,
                                          .n_rows = 1,
                                          .table_offset = 0,
                                          .n_sealed = kPages,
                                          .open_slot = 0,
                                          .first_token = 0,
                                          .first_split = 0};
        tiles(0)[i] = whole;
        tiles(own_at)[i] = whole;
        tiles(own_at)[i].first_split = kSplits;
        words(table_at)[kPages + i] = i;
        words(merge_at)[2 * i] = i;
        words(merge_at)[2 * i + 1] = kPages * shared::kPageTokens;
    }
    tiles(shared_at)[0] = {.first_row = kPages,
                           .n_rows = n,
                           .table_offset = 0,
                           .n_sealed = kPages,
                           .open_slot = 0,
                           .first_token = 0,
                           .first_split = 0};
    std::uint32_t n_there = 1;
    while (n_there < kPages && kv.has_page(n_there)) ++n_there;
    for (std::uint32_t i = 0; i < kPages; ++i) words(table_at)[i] = i % n_there;
    step.apart = {.tiles = step.upload.slice(0, tile_bytes),
                  .n_tiles = n,
                  .single_tokens = true,
                  .table = step.upload.slice(table_at, table_bytes),
                  .max_splits = kSplits + 1,
                  .merge_rows = step.upload.slice(merge_at, std::uint64_t{n} * 8),
                  .n_rows = n};
    step.together = step.apart;
    step.together.tiles = step.upload.slice(own_at, tile_bytes);
    step.together.shared_tiles = step.upload.slice(shared_at, sizeof(shared::AttentionTile));
    step.together.n_shared_tiles = 1;
    step.together.n_shared_splits = kSplits;
    return step;
}

}  // namespace

Result<std::uint32_t> measure_min_sharers(gpu::Device& device, gpu::Recorder& recorder,
                                          const gpu::Attention& attention, const gpu::KvStore& kv,
                                          const ModelShape& shape, const Activations& activations) {
    const auto seconds = [&](const gpu::Attention::Work& work) -> Result<double> {
        KVASIR_TRY_VOID(recorder.begin());
        for (std::uint32_t i = 0; i < shape.n_layers; ++i) {
            if (shape.spans[i].reach.kind() != shared::kReachAll) continue;
            attention.record(recorder, activations.q.slice(), kv.layer(i), work,
                             activations.partials.slice(), activations.attn.slice());
        }
        const auto begin = std::chrono::steady_clock::now();
        KVASIR_TRY_VOID(recorder.submit_and_wait());
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    if (std::ranges::none_of(shape.spans, [](const LayerSpan& span) {
            return span.reach.kind() == shared::kReachAll;
        }))
        return 0;
    for (std::uint32_t n = 2; n <= attention.n_sharers(); ++n) {
        KVASIR_TRY(const Step step, make_step(device, kv, n));
        double together = std::numeric_limits<double>::max();
        double apart = together;
        for (std::uint32_t round = 0; round < kRounds; ++round) {  // interleaved
            KVASIR_TRY(const double one, seconds(step.together));
            KVASIR_TRY(const double other, seconds(step.apart));
            together = std::min(together, one);
            apart = std::min(apart, other);
        }
        if (together <= kWorthIt * apart) return n;
    }
    return 0;
}

}  // namespace kvasir
