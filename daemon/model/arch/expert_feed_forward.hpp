// A feed-forward of experts: a router chooses some of many SwiGLU blocks for each token, on the
// device.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

struct ExpertFeedForward {
    gpu::Matrix router;   // (n_experts, dim)
    gpu::Matrix gate_up;  // (n_experts, 2 expert ffn_dim, dim), interleaved
    gpu::Matrix down;     // (n_experts, dim, expert ffn_dim)

    /// layer: its name's beginning, "blk.3.".
    static Result<ExpertFeedForward> load(TensorLoader& loader, const ModelShape& shape,
                                          const std::string& layer);
    Result<> prepare(gpu::MatMul& mat_mul) const;
    /// activations.x += the weighted sum of the experts of norm(x).
    void record(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                const ModelShape& shape, const gpu::Vector& norm) const;
};

}  // namespace kvasir
