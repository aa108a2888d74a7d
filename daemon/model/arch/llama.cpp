// Llama and what shares its op order: RMSNorm, grouped-query attention with RoPE, SwiGLU. Optional
// weights skip an op; nothing reorders ops.
#include <fmt/format.h>
#include <optional>

#include "daemon/model/arch/architectures.hpp"
#include "daemon/model/arch/expert_feed_forward.hpp"
#include "daemon/model/arch/parts.hpp"
#include "daemon/model/read_metadata.hpp"

namespace kvasir {
namespace {

// ---- weights ----

struct LlamaLayer {
    gpu::Vector attn_norm;                     // (dim)
    gpu::Matrix qkv;                           // (q_dim + 2 kv_dim, dim)
    std::optional<gpu::Vector> qkv_bias;       // (q_dim + 2 kv_dim)
    std::optional<gpu::Vector> qk_norm;        // (2, head_dim): of queries, of keys
    gpu::Matrix wo;                            // (dim, q_dim)
    gpu::Vector ffn_norm;                      // (dim)
    gpu::Matrix gate_up;                       // (2 ffn_dim, dim), interleaved
    gpu::Matrix down;                          // (dim, ffn_dim)
    std::optional<ExpertFeedForward> experts;  // in place of gate_up and down
};

struct LlamaWeights {
    gpu::Matrix embedding;              // (n_vocab, dim)
    std::vector<LlamaLayer> layers;     // (n_layers)
    gpu::Vector output_norm;            // (dim)
    std::optional<gpu::Matrix> output;  // (n_vocab, dim); absent: tied to embedding
};

Result<LlamaLayer> load_layer(TensorLoader& loader, const ModelShape& s, std::uint32_t index) {
    const auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}", index, part); };
    const std::uint32_t q_dim = s.heads.n_heads * s.heads.head_dim;
    const std::uint32_t kv_dim = s.heads.n_kv_heads * s.heads.head_dim;
    LlamaLayer layer;
    KVASIR_TRY(layer.attn_norm, loader.vector(name("attn_norm.weight"), s.dim));
    if (s.has_fused_tensors) {
        KVASIR_TRY(layer.qkv, loader.matrix(name("attn_qkv.weight"), q_dim + 2 * kv_dim, s.dim));
    } else {
        KVASIR_TRY(layer.qkv, loader.stacked({{name("attn_q.weight"), q_dim},
                                              {name("attn_k.weight"), kv_dim},
                                              {name("attn_v.weight"), kv_dim}},
                                             s.dim));
    }
    if (loader.has(name("attn_q.bias"))) {
        KVASIR_TRY(layer.qkv_bias, loader.stacked_vector({{name("attn_q.bias"), q_dim},
                                                          {name("attn_k.bias"), kv_dim},
                                                          {name("attn_v.bias"), kv_dim}}));
    }
    if (s.has_qk_norm) {
        KVASIR_TRY(layer.qk_norm,
                   loader.stacked_vector({{name("attn_q_norm.weight"), s.heads.head_dim},
                                          {name("attn_k_norm.weight"), s.heads.head_dim}}));
    }
    KVASIR_TRY(layer.wo, loader.matrix(name("attn_output.weight"), s.dim, q_dim));
    KVASIR_TRY(layer.ffn_norm, loader.vector(name("ffn_norm.weight"), s.dim));
    if (s.experts.n_experts > 0 && loader.has(name("ffn_gate_inp.weight"))) {
        KVASIR_TRY(layer.experts, ExpertFeedForward::load(loader, s, name("")));
        return layer;
    }
    if (s.has_fused_tensors) {
        KVASIR_TRY(layer.gate_up, loader.fused_gate_up(name("ffn_up.weight"), s.ffn_dim, s.dim));
    } else {
        KVASIR_TRY(layer.gate_up, loader.gate_up(name("ffn_gate.weight"), name("ffn_up.weight"),
                                                 s.ffn_dim, s.dim));
    }
    KVASIR_TRY(layer.down, loader.matrix(name("ffn_down.weight"), s.dim, s.ffn_dim));
    return layer;
}

Result<LlamaWeights> load_weights(TensorLoader& loader, const ModelShape& s) {
    LlamaWeights weights;
    KVASIR_TRY(weights.embedding, loader.matrix("token_embd.weight", s.n_vocab, s.dim));
    for (std::uint32_t i = 0; i < s.n_layers; ++i) {
        KVASIR_TRY(LlamaLayer layer, load_layer(loader, s, i));
        weights.layers.push_back(std::move(layer));
    }
    KVASIR_TRY(weights.output_norm, loader.vector("output_norm.weight", s.dim));
    if (loader.has("output.weight")) {
        KVASIR_TRY(weights.output, loader.matrix("output.weight", s.n_vocab, s.dim));
    }
    return weights;
}

// ---- the forward pass ----

class LlamaDecoder : public Decoder {
public:
    LlamaDecoder(ModelShape shape, LlamaWeights weights)
        : s_(std::move(shape)), weights_(std::move(weights)) {}

    Result<> prepare(Ops& ops) const {
        KVASIR_TRY_VOID(ops.embed.prepare(weights_.embedding.format));
        for (const LlamaLayer& w : weights_.layers) {
            KVASIR_TRY_VOID(ops.mat_mul.prepare(
                w.qkv, {0, shared::kEpilogueStore, shared::kNormRms, w.qkv_bias.has_value()}));
            KVASIR_TRY_VOID(ops.mat_mul.prepare({w.wo.format, shared::kEpilogueAdd}));
            if (w.experts) {
                KVASIR_TRY_VOID(w.experts->prepare(ops.mat_mul));
                continue;
            }
            KVASIR_TRY_VOID(ops.mat_mul.prepare(
                {w.gate_up.format, shared::kEpilogueSiluMul, shared::kNormRms}));
            KVASIR_TRY_VOID(ops.mat_mul.prepare({w.down.format, shared::kEpilogueAdd}));
        }
        return ops.mat_mul.prepare({output().format, shared::kEpilogueStore, shared::kNormRms});
    }

    void record(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const override {
        c.ops.embed.record(rec, weights_.embedding, batch.tokens, c.activations.x.slice(),
                           batch.n_tokens);
        for (std::uint32_t i = 0; i < s_.n_layers; ++i) {
            record_attention(rec, batch, i, c);
            record_feed_forward(rec, batch, weights_.layers[i], c);
        }
        record_logits(rec, batch, c);
        record_states(rec, batch, c, s_, weights_.output_norm, shared::kNormRms);
    }

private:
    const gpu::Matrix& output() const {
        return weights_.output ? *weights_.output : weights_.embedding;
    }

    void record_attention(gpu::Recorder& rec, const Batch& batch, std::uint32_t layer,
                          const DecoderContext& c) const {
        const Activations& a = c.activations;
        const LlamaLayer& w = weights_.layers[layer];
        const std::uint32_t n = batch.n_tokens;
        c.ops.mat_mul.record(rec, {.weights = &w.qkv,
                                   .x = a.x.slice(),
                                   .y = a.qkv.slice(),
                                   .n_tokens = n,
                                   .y_stride = w.qkv.n_rows,
                                   .norm = &w.attn_norm,
                                   .norm_eps = s_.norm_eps,
                                   .bias = w.qkv_bias ? &*w.qkv_bias : nullptr});
        record_attend(rec, batch, c, s_, layer,
                      {.weights = w.qk_norm ? &*w.qk_norm : nullptr, .eps = s_.norm_eps});
        c.ops.mat_mul.record(rec, {.weights = &w.wo,
                                   .x = a.attn.slice(),
                                   .y = a.x.slice(),
                                   .n_tokens = n,
                                   .y_stride = s_.dim,
                                   .epilogue = shared::kEpilogueAdd});
    }

    void record_feed_forward(gpu::Recorder& rec, const Batch& batch, const LlamaLayer& w,
                             const DecoderContext& c) const {
        if (w.experts) return w.experts->record(rec, batch, c, s_, w.ffn_norm);
        const Activations& a = c.activations;
        c.ops.mat_mul.record(rec, {.weights = &w.gate_up,
                                   .x = a.x.slice(),
                                   .y = a.hidden.slice(),
                                   .n_tokens = batch.n_tokens,
                                   .y_stride = s_.ffn_dim,
                                   .epilogue = shared::kEpilogueSiluMul,
                                   .norm = &w.ffn_norm,
                                   .norm_eps = s_.norm_eps});
        c.ops.mat_mul.record(rec, {.weights = &w.down,
                                   .x = a.hidden.slice(),
                                   .y = a.x.slice(),
                                   .n_tokens = batch.n_tokens,
                                   .y_stride = s_.dim,
                                   .epilogue = shared::kEpilogueAdd});
    }

    void record_logits(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const {
        const LogitRows rows = gather_logit_rows(rec, batch, c, s_);
        if (rows.n == 0) return;
        c.ops.mat_mul.record(rec, {.weights = &output(),
                                   .x = rows.x,
                                   .y = c.activations.logits.slice(),
                                   .n_tokens = rows.n,
                                   .y_stride = s_.n_vocab,
                                   .norm = &weights_.output_norm,
                                   .norm_eps = s_.norm_eps});
    }

    ModelShape s_;
    LlamaWeights weights_;
};

Result<std::unique_ptr<Decoder>> load_llama(TensorLoader& loader, const ModelShape& shape,
                                            Ops& ops) {
    KVASIR_TRY(LlamaWeights weights, load_weights(loader, shape));
    auto decoder = std::make_unique<LlamaDecoder>(shape, std::move(weights));
    KVASIR_TRY_VOID(decoder->prepare(ops));
    return std::unique_ptr<Decoder>(std::move(decoder));
}

// GGUF stores llama's queries and keys permuted for neighbouring pairs; the families below keep
// their halves.
Result<ModelShape> read_llama_shape(const ModelSource& source, std::string_view architecture,
                                    std::uint32_t context) {
    return read_common_shape(
        source, architecture,
        {.context = context, .rope_interleaved = true, .may_have_experts = true});
}

Result<ModelShape> read_halves_shape(const ModelSource& source, std::string_view architecture,
                                     std::uint32_t context) {
    return read_common_shape(source, architecture, {.context = context});
}

Result<ModelShape> read_qwen3_shape(const ModelSource& source, std::string_view architecture,
                                    std::uint32_t context) {
    KVASIR_TRY(ModelShape shape, read_common_shape(source, architecture,
                                                   {.context = context, .may_have_experts = true}));
    shape.has_qk_norm = true;
    return shape;
}

Result<ModelShape> read_phi3_shape(const ModelSource& source, std::string_view architecture,
                                   std::uint32_t context) {
    KVASIR_TRY(ModelShape shape, read_halves_shape(source, architecture, context));
    shape.has_fused_tensors = true;
    return shape;
}

}  // namespace

Architecture llama_architecture() {
    return {"llama", read_llama_shape, load_llama};
}
Architecture qwen2_architecture() {
    return {"qwen2", read_halves_shape, load_llama};
}
Architecture qwen3_architecture() {
    return {"qwen3", read_qwen3_shape, load_llama};
}
Architecture qwen3moe_architecture() {
    return {"qwen3moe", read_qwen3_shape, load_llama};
}
Architecture phi3_architecture() {
    return {"phi3", read_phi3_shape, load_llama};
}

}  // namespace kvasir
