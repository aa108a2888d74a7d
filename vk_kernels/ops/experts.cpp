#include "vk_kernels/ops/experts.hpp"

#include <algorithm>

#include "spv/add_experts.h"
#include "spv/choose_experts.h"
#include "spv/group_experts.h"

namespace kvasir::gpu {
namespace {
constexpr std::uint32_t kThreads = 64;
constexpr std::uint32_t kMostTileTokens = 8;
}  // namespace

Result<Experts> Experts::create(Device& device, const ExpertShape& shape) {
    Experts op;
    op.shape_ = shape;
    if (shape.n_experts == 0) return op;
    KVASIR_TRY(op.choose_, (Kernel<shared::ChooseExpertsPush, 3, 1>::create(
                               device, "choose_experts", choose_experts_spv, {kThreads})));
    KVASIR_TRY(op.group_, (Kernel<shared::GroupExpertsPush, 2, 1>::create(
                              device, "group_experts", group_experts_spv, {kThreads})));
    KVASIR_TRY(op.add_, (Kernel<shared::AddExpertsPush, 3, 1>::create(
                            device, "add_experts", add_experts_spv, {kThreads})));
    return op;
}

std::uint64_t Experts::route_words(const ExpertShape& shape, std::uint64_t n_tokens) {
    const std::uint64_t n_pairs = n_tokens * shape.n_used;
    const std::uint64_t n_tiles = n_pairs + std::min<std::uint64_t>(shape.n_experts, n_pairs);
    return n_tiles * shared::kRouteTileWords + n_pairs;
}

ExpertRoutes Experts::record_choice(Recorder& recorder, const Slice& logits, const Slice& experts,
                                    const Slice& weights, const Slice& words,
                                    std::uint32_t n_tokens) const {
    const std::uint32_t n_pairs = n_tokens * shape_.n_used;
    ExpertRoutes routes{.words = words, .tile_tokens = 1, .n_rows = n_pairs};
    while (routes.tile_tokens < kMostTileTokens &&
           routes.tile_tokens * shape_.n_experts < n_pairs) {
        routes.tile_tokens *= 2;
    }
    routes.n_tiles = n_pairs;
    if (routes.tile_tokens > 1)
        routes.n_tiles = n_pairs / routes.tile_tokens + std::min(shape_.n_experts, n_pairs);
    choose_.record(recorder, {logits, experts, weights},
                   {.n_tokens = n_tokens, .n_experts = shape_.n_experts, .n_used = shape_.n_used},
                   {.x = (n_tokens + kThreads - 1) / kThreads});
    group_.record(recorder, {experts, words},
                  {.n_pairs = n_pairs,
                   .n_experts = shape_.n_experts,
                   .n_tiles = routes.n_tiles,
                   .tile_tokens = routes.tile_tokens},
                  {});
    return routes;
}

void Experts::record_sum(Recorder& recorder, const Slice& y, const Slice& weights, const Slice& x,
                         std::uint32_t n_cols, std::uint32_t n_tokens) const {
    const std::uint32_t n = n_tokens * n_cols;
    add_.record(recorder, {y, weights, x},
                {.n_tokens = n_tokens, .n_used = shape_.n_used, .n_cols = n_cols},
                {.x = (n + kThreads - 1) / kThreads});
}

}  // namespace kvasir::gpu
