#include "vk_kernels/ops/attention_trial.hpp"

#include <algorithm>

namespace kvasir::gpu {

Result<AttentionTrial> AttentionTrial::create(Device& device, const KvStore& kv,
                                              std::uint32_t n_pages, std::uint32_t n_sequences,
                                              std::uint32_t n_sharers) {
    const std::uint32_t n_splits = n_pages / shared::kSplitPages;
    const std::uint32_t n_shared = n_sharers == 0 ? 0 : (n_sequences + n_sharers - 1) / n_sharers;
    const std::uint64_t alignment = std::max<std::uint64_t>(device.limits().binding_alignment, 16);
    const auto align = [&](std::uint64_t at) {
        return (at + alignment - 1) / alignment * alignment;
    };
    const std::uint64_t tile_bytes = n_sequences * sizeof(shared::AttentionTile);
    const std::uint64_t shared_bytes = std::max(n_shared, 1U) * sizeof(shared::AttentionTile);
    const std::uint64_t table_bytes = (std::uint64_t{n_pages} + n_sequences) * 4;
    const std::uint64_t merge_bytes = std::uint64_t{n_sequences} * 8;
    const std::uint64_t own_at = align(tile_bytes);
    const std::uint64_t shared_at = align(own_at + tile_bytes);
    const std::uint64_t table_at = align(shared_at + shared_bytes);
    const std::uint64_t merge_at = align(table_at + table_bytes);
    AttentionTrial trial;
    KVASIR_TRY(trial.upload, Buffer::create(device, merge_at + merge_bytes, BufferDomain::upload));
    const auto words = [&](std::uint64_t at) {
        return reinterpret_cast<std::uint32_t*>(trial.upload.mapped().data() + at);
    };
    const auto tiles = [&](std::uint64_t at) {
        return reinterpret_cast<shared::AttentionTile*>(trial.upload.mapped().data() + at);
    };
    std::uint32_t n_there = 1;
    while (n_there < n_pages && kv.has_page(n_there)) ++n_there;
    for (std::uint32_t i = 0; i < n_pages; ++i) words(table_at)[i] = i % n_there;
    for (std::uint32_t i = 0; i < n_sequences; ++i) {
        const shared::AttentionTile whole{.first_row = i,
                                          .n_rows = 1,
                                          .table_offset = 0,
                                          .n_sealed = n_pages,
                                          .open_slot = 0,
                                          .first_token = 0,
                                          .first_split = 0};
        tiles(0)[i] = whole;
        tiles(own_at)[i] = whole;
        tiles(own_at)[i].first_split = n_splits;
        words(table_at)[n_pages + i] = i;  // rows, as shared tiles list them
        words(merge_at)[2 * i] = i;
        words(merge_at)[2 * i + 1] = n_pages * shared::kPageTokens;
    }
    for (std::uint32_t i = 0; i < n_shared; ++i) {
        tiles(shared_at)[i] = {.first_row = n_pages + i * n_sharers,
                               .n_rows = std::min(n_sharers, n_sequences - i * n_sharers),
                               .table_offset = 0,
                               .n_sealed = n_splits * shared::kSplitPages,
                               .open_slot = 0,
                               .first_token = 0,
                               .first_split = 0};
    }
    trial.apart = {.tiles = trial.upload.slice(0, tile_bytes),
                   .n_tiles = n_sequences,
                   .single_tokens = true,
                   .table = trial.upload.slice(table_at, table_bytes),
                   .max_splits = n_splits + 1,
                   .merge_rows = trial.upload.slice(merge_at, merge_bytes),
                   .n_rows = n_sequences};
    trial.together = trial.apart;
    if (n_shared == 0) return trial;
    trial.together.tiles = trial.upload.slice(own_at, tile_bytes);
    trial.together.shared_tiles = trial.upload.slice(shared_at, shared_bytes);
    trial.together.n_shared_tiles = n_shared;
    trial.together.n_shared_splits = n_splits;
    return trial;
}

}  // namespace kvasir::gpu
