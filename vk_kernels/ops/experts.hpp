// experts: which experts the tokens of a step take, who computes what, and the sum of what came
// out.
#pragma once

#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/experts.h"

namespace kvasir::gpu {

struct ExpertShape {
    std::uint32_t n_experts = 0;  // at most shared::kMaxExperts; 0: none
    std::uint32_t n_used = 0;     // a token
    std::uint32_t ffn_dim = 0;    // of one expert
};

/// How a step's rows are cut into tiles of one expert each: what routed mat_muls take.
struct ExpertRoutes {
    Slice words;
    std::uint32_t n_tiles = 0;
    std::uint32_t tile_tokens = 0;
    std::uint32_t n_rows = 0;  // tokens * experts a token
};

class Experts {
public:
    static Result<Experts> create(Device& device, const ExpertShape& shape);
    /// Words of routes that so many tokens need at most.
    static std::uint64_t route_words(const ExpertShape& shape, std::uint64_t n_tokens);

    /// logits: (n_tokens, n_experts) f32; experts, weights: (n_tokens, n_used). words: route_words.
    ExpertRoutes record_choice(Recorder& recorder, const Slice& logits, const Slice& experts,
                               const Slice& weights, const Slice& words,
                               std::uint32_t n_tokens) const;
    /// y: (n_tokens * n_used, n_cols); x: (n_tokens, n_cols).
    void record_sum(Recorder& recorder, const Slice& y, const Slice& weights, const Slice& x,
                    std::uint32_t n_cols, std::uint32_t n_tokens) const;

private:
    ExpertShape shape_;
    Kernel<shared::ChooseExpertsPush, 3, 1> choose_;
    Kernel<shared::GroupExpertsPush, 2, 1> group_;
    Kernel<shared::AddExpertsPush, 3, 1> add_;
};

}  // namespace kvasir::gpu
