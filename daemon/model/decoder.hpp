// Decoder: the forward pass of one model as a script of ops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "config/base/error.hpp"
#include "daemon/model/batch.hpp"
#include "daemon/model/rope.hpp"
#include "daemon/model/tensor_loader.hpp"
#include "vk_kernels/kv_store.hpp"
#include "vk_kernels/ops/add_norm.hpp"
#include "vk_kernels/ops/attention.hpp"
#include "vk_kernels/ops/embed.hpp"
#include "vk_kernels/ops/experts.hpp"
#include "vk_kernels/ops/mat_mul.hpp"
#include "vk_kernels/ops/rope_append_kv.hpp"
#include "vk_kernels/ops/row_norm.hpp"
#include "vk_kernels/ops/seal_page.hpp"

namespace kvasir {

/// What one layer's queries see, and by which angles they turn.
struct LayerSpan {
    gpu::AttentionReach reach;
    std::uint32_t rope = 0;  // index into ModelShape::ropes
};

/// The numbers every part of the engine needs of a model; an architecture reads them from the
/// file's metadata.
struct ModelShape {
    std::uint32_t n_layers = 0;
    std::uint32_t dim = 0;
    std::uint32_t ffn_dim = 0;
    gpu::HeadShape heads;
    std::uint32_t n_vocab = 0;
    std::uint32_t context_length = 0;
    float norm_eps = 0;
    float embedding_scale = 1;
    float score_scale = 0;                                  // of query times key
    float score_cap = 0;                                    // soft bound of scaled scores; 0: none
    float logit_cap = 0;                                    // soft bound of logits; 0: none
    std::uint32_t ffn_epilogue = shared::kEpilogueSiluMul;  // mat_mul.h: the activation
    bool has_qk_norm = false;        // queries and keys are normalized head by head
    bool has_fused_tensors = false;  // q, k, v in one tensor, and gate and up
    bool has_branch_norms = false;   // what a half adds to the residual stream is normalized
    bool is_parallel = false;        // attention and feed-forward read the same residual stream
    gpu::ExpertShape experts;
    std::vector<Rope> ropes;       // all of one shape; n_rot 0: learned positions instead
    std::vector<LayerSpan> spans;  // (n_layers)

    std::uint32_t sink_span = 0;  // sinks and recent tokens that layers see; 0: no sinks

    const gpu::RopeShape& rope_shape() const { return ropes.front().shape; }
};

/// The ops of one loaded model, compiled for its shapes.
struct Ops {
    gpu::Embed embed;
    gpu::MatMul mat_mul;
    gpu::RopeAppendKv rope_append_kv;
    gpu::SealPage seal_page;
    gpu::Attention attention;
    gpu::AddNorm add_norm;
    gpu::RowNorm row_norm;
    gpu::Experts experts;

    static Result<std::unique_ptr<Ops>> create(gpu::Device& device, const ModelShape& shape,
                                               std::uint32_t open_format,
                                               const std::optional<gpu::AttentionTiling>& tiling);
};

/// Where a step's intermediate values lie; sized once for the largest step.
struct Activations {
    gpu::Buffer x;         // (max_tokens, dim) residual stream
    gpu::Buffer qkv;       // (max_tokens, (n_heads + 2 n_kv_heads) * head_dim)
    gpu::Buffer q;         // (max_tokens, n_heads * head_dim)
    gpu::Buffer sink_q;    // the same, turned for attention sinks
    gpu::Buffer attn;      // (max_tokens, n_heads * head_dim)
    gpu::Buffer partials;  // attention splits computed apart
    gpu::Buffer hidden;    // (max_tokens, ffn_dim), or one row an expert a token takes
    gpu::Buffer branch;    // (max_tokens, dim), or as hidden: where it is not added at once
    gpu::Buffer router;    // (max_tokens, n_experts)
    gpu::Buffer chosen;    // (max_tokens, n_used) experts
    gpu::Buffer shares;    // (max_tokens, n_used) their weights
    gpu::Buffer routes;    // shared/experts.h
    gpu::Buffer out_x;     // (max_logit_rows, dim) rows whose logits are wanted
    gpu::Buffer logits;    // (max_logit_rows, n_vocab) host-visible
    gpu::Buffer states;    // (max_tokens, dim) host-visible: what the output matrix reads

    /// Zeroes every one of these.
    void record_zero(gpu::Recorder& recorder) const {
        for (const gpu::Buffer* buffer :
             {&x, &qkv, &q, &sink_q, &attn, &partials, &hidden, &branch, &router, &chosen, &shares,
              &routes, &out_x, &logits, &states})
            if (*buffer) recorder.fill_zero(buffer->slice());
    }

    static Result<Activations> create(gpu::Device& device, const ModelShape& shape,
                                      const BatchLimits& limits, const gpu::Attention& attention);
};

/// What a decoder records into. All references outlive it.
struct DecoderContext {
    gpu::Device& device;
    Ops& ops;
    Activations& activations;
    gpu::KvStore& kv;
};

/// Owns the weights. record() appends one step to the recorder; logits of batch.logit_rows end in
/// activations.logits, hidden states of batch.state_rows in activations.states.
class Decoder {
public:
    virtual ~Decoder() = default;
    virtual void record(gpu::Recorder& recorder, const Batch& batch,
                        const DecoderContext& context) const = 0;
};

/// One architecture: reads its shape, then its weights. A new one is one file and one line in
/// registry.cpp.
struct Architecture {
    std::string_view name;  // general.architecture
    /// context: the longest sequence asked for; 0: the file's.
    Result<ModelShape> (*read_shape)(const ModelSource& source, std::string_view architecture,
                                     std::uint32_t context);
    Result<std::unique_ptr<Decoder>> (*load)(TensorLoader& loader, const ModelShape& shape,
                                             Ops& ops);
};

/// Attention sinks: every layer that saw sinks + recent tokens or more sees the first `sinks` and
/// the last `recent`; one whose own window is narrower keeps it.
/// Errors: invalid_argument (zeros, or a model of learned positions).
Result<> limit_attention(ModelShape& shape, std::uint32_t sinks, std::uint32_t recent);

std::span<const Architecture> all_architectures();
/// Errors: unsupported, naming the architecture and those that are known.
Result<const Architecture*> find_architecture(std::string_view name);

}  // namespace kvasir
