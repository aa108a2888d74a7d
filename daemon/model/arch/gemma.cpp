// Gemma, Gemma 2, Gemma 3: scaled embeddings, RMSNorm before each half and from Gemma 2 on behind
// it, GeGLU; soft caps; windows on most layers, which in Gemma 3 have a rope of their own.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "daemon/model/arch/architectures.hpp"
#include "daemon/model/arch/parts.hpp"
#include "daemon/model/read_metadata.hpp"

namespace kvasir {
namespace {

// ---- weights ----

struct GemmaLayer {
    gpu::Vector attn_norm;                     // (dim)
    gpu::Matrix qkv;                           // (q_dim + 2 kv_dim, dim)
    std::optional<gpu::Vector> qk_norm;        // (2, head_dim): of queries, of keys
    gpu::Matrix wo;                            // (dim, q_dim)
    std::optional<gpu::Vector> attn_out_norm;  // (dim)
    gpu::Vector ffn_norm;                      // (dim)
    gpu::Matrix gate_up;                       // (2 ffn_dim, dim), interleaved
    gpu::Matrix down;                          // (dim, ffn_dim)
    std::optional<gpu::Vector> ffn_out_norm;   // (dim)
};

struct GemmaWeights {
    gpu::Matrix embedding;              // (n_vocab, dim)
    std::vector<GemmaLayer> layers;     // (n_layers)
    gpu::Vector output_norm;            // (dim)
    std::optional<gpu::Matrix> output;  // (n_vocab, dim); absent: tied to embedding
};

Result<GemmaLayer> load_layer(TensorLoader& loader, const ModelShape& s, std::uint32_t index) {
    const auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}", index, part); };
    const std::uint32_t q_dim = s.heads.n_heads * s.heads.head_dim;
    const std::uint32_t kv_dim = s.heads.n_kv_heads * s.heads.head_dim;
    GemmaLayer layer;
    KVASIR_TRY(layer.attn_norm, loader.vector(name("attn_norm.weight"), s.dim));
    KVASIR_TRY(layer.qkv, loader.stacked({{name("attn_q.weight"), q_dim},
                                          {name("attn_k.weight"), kv_dim},
                                          {name("attn_v.weight"), kv_dim}},
                                         s.dim));
    if (s.has_qk_norm) {
        KVASIR_TRY(layer.qk_norm,
                   loader.stacked_vector({{name("attn_q_norm.weight"), s.heads.head_dim},
                                          {name("attn_k_norm.weight"), s.heads.head_dim}}));
    }
    KVASIR_TRY(layer.wo, loader.matrix(name("attn_output.weight"), s.dim, q_dim));
    KVASIR_TRY(layer.ffn_norm, loader.vector(name("ffn_norm.weight"), s.dim));
    KVASIR_TRY(layer.gate_up,
               loader.gate_up(name("ffn_gate.weight"), name("ffn_up.weight"), s.ffn_dim, s.dim));
    KVASIR_TRY(layer.down, loader.matrix(name("ffn_down.weight"), s.dim, s.ffn_dim));
    if (s.has_branch_norms) {
        KVASIR_TRY(layer.attn_out_norm, loader.vector(name("post_attention_norm.weight"), s.dim));
        KVASIR_TRY(layer.ffn_out_norm, loader.vector(name("post_ffw_norm.weight"), s.dim));
    }
    return layer;
}

Result<GemmaWeights> load_weights(TensorLoader& loader, const ModelShape& s) {
    GemmaWeights weights;
    KVASIR_TRY(weights.embedding, loader.matrix("token_embd.weight", s.n_vocab, s.dim));
    for (std::uint32_t i = 0; i < s.n_layers; ++i) {
        KVASIR_TRY(GemmaLayer layer, load_layer(loader, s, i));
        weights.layers.push_back(std::move(layer));
    }
    KVASIR_TRY(weights.output_norm, loader.vector("output_norm.weight", s.dim));
    if (loader.has("output.weight")) {
        KVASIR_TRY(weights.output, loader.matrix("output.weight", s.n_vocab, s.dim));
    }
    return weights;
}

// ---- the forward pass ----

class GemmaDecoder : public Decoder {
public:
    GemmaDecoder(ModelShape shape, GemmaWeights weights)
        : s_(std::move(shape)), weights_(std::move(weights)) {}

    Result<> prepare(Ops& ops) const {
        const std::uint32_t out =
            s_.has_branch_norms ? shared::kEpilogueStore : shared::kEpilogueAdd;
        KVASIR_TRY_VOID(ops.embed.prepare(weights_.embedding.format));
        for (const GemmaLayer& w : weights_.layers) {
            KVASIR_TRY_VOID(
                ops.mat_mul.prepare(w.qkv, {0, shared::kEpilogueStore, shared::kNormRms}));
            KVASIR_TRY_VOID(ops.mat_mul.prepare({w.wo.format, out}));
            KVASIR_TRY_VOID(
                ops.mat_mul.prepare({w.gate_up.format, s_.ffn_epilogue, shared::kNormRms}));
            KVASIR_TRY_VOID(ops.mat_mul.prepare({w.down.format, out}));
        }
        return ops.mat_mul.prepare({output().format, logit_epilogue(), shared::kNormRms});
    }

    void record(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const override {
        c.ops.embed.record(rec, weights_.embedding, batch.tokens, c.activations.x.slice(),
                           batch.n_tokens, s_.embedding_scale);
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
    std::uint32_t logit_epilogue() const {
        return s_.logit_cap > 0 ? shared::kEpilogueCap : shared::kEpilogueStore;
    }

    void record_attention(gpu::Recorder& rec, const Batch& batch, std::uint32_t layer,
                          const DecoderContext& c) const {
        const Activations& a = c.activations;
        const GemmaLayer& w = weights_.layers[layer];
        c.ops.mat_mul.record(rec, {.weights = &w.qkv,
                                   .x = a.x.slice(),
                                   .y = a.qkv.slice(),
                                   .n_tokens = batch.n_tokens,
                                   .y_stride = w.qkv.n_rows,
                                   .norm = &w.attn_norm,
                                   .norm_eps = s_.norm_eps});
        record_attend(rec, batch, c, s_, layer,
                      {.weights = w.qk_norm ? &*w.qk_norm : nullptr, .eps = s_.norm_eps});
        record_branch(rec, batch, w.wo, a.attn, w.attn_out_norm, c);
    }

    void record_feed_forward(gpu::Recorder& rec, const Batch& batch, const GemmaLayer& w,
                             const DecoderContext& c) const {
        const Activations& a = c.activations;
        c.ops.mat_mul.record(rec, {.weights = &w.gate_up,
                                   .x = a.x.slice(),
                                   .y = a.hidden.slice(),
                                   .n_tokens = batch.n_tokens,
                                   .y_stride = s_.ffn_dim,
                                   .epilogue = s_.ffn_epilogue,
                                   .norm = &w.ffn_norm,
                                   .norm_eps = s_.norm_eps});
        record_branch(rec, batch, w.down, a.hidden, w.ffn_out_norm, c);
    }

    /// x += matrix * from, normalized where there is a norm.
    void record_branch(gpu::Recorder& rec, const Batch& batch, const gpu::Matrix& matrix,
                       const gpu::Buffer& from, const std::optional<gpu::Vector>& norm,
                       const DecoderContext& c) const {
        const Activations& a = c.activations;
        c.ops.mat_mul.record(rec,
                             {.weights = &matrix,
                              .x = from.slice(),
                              .y = norm ? a.branch.slice() : a.x.slice(),
                              .n_tokens = batch.n_tokens,
                              .y_stride = s_.dim,
                              .epilogue = norm ? shared::kEpilogueStore : shared::kEpilogueAdd});
        if (norm) {
            c.ops.add_norm.record(rec, a.branch.slice(), *norm, s_.norm_eps, a.x.slice(),
                                  batch.n_tokens);
        }
    }

    void record_logits(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const {
        const LogitRows rows = gather_logit_rows(rec, batch, c, s_);
        if (rows.n == 0) return;
        c.ops.mat_mul.record(rec, {.weights = &output(),
                                   .x = rows.x,
                                   .y = c.activations.logits.slice(),
                                   .n_tokens = rows.n,
                                   .y_stride = s_.n_vocab,
                                   .epilogue = logit_epilogue(),
                                   .norm = &weights_.output_norm,
                                   .norm_eps = s_.norm_eps,
                                   .cap = s_.logit_cap});
    }

    ModelShape s_;
    GemmaWeights weights_;
};

Result<std::unique_ptr<Decoder>> load_gemma(TensorLoader& loader, const ModelShape& shape,
                                            Ops& ops) {
    KVASIR_TRY(GemmaWeights weights, load_weights(loader, shape));
    auto decoder = std::make_unique<GemmaDecoder>(shape, std::move(weights));
    KVASIR_TRY_VOID(decoder->prepare(ops));
    return std::unique_ptr<Decoder>(std::move(decoder));
}

// ---- metadata ----

Result<ModelShape> read_gemma_shape(const ModelSource& source, std::string_view architecture,
                                    std::uint32_t context) {
    KVASIR_TRY(ModelShape s, read_common_shape(source, architecture, {.context = context}));
    s.embedding_scale = std::sqrt(static_cast<float>(s.dim));
    s.ffn_epilogue = shared::kEpilogueGeluMul;
    return s;
}

/// (n_layers): which see a window only. Where the source does not say, all but every period-th.
Result<std::vector<bool>> read_local_layers(const ModelSource& source,
                                            std::string_view architecture, const ModelShape& s,
                                            std::uint32_t period) {
    KVASIR_TRY(const auto given, read_window_pattern(source, architecture, s.n_layers));
    if (given) return *given;
    std::vector<bool> are_local(s.n_layers);
    for (std::uint32_t i = 0; i < s.n_layers; ++i) are_local[i] = (i + 1) % period != 0;
    return are_local;
}

/// The largest model of a family scales scores by the share of the embedding that a head has, not
/// by the head's own size; GGUF files do not say so.
void scale_scores_by_dim(const ModelSource& source, std::string_view architecture, ModelShape& s,
                         std::uint32_t n_layers_of_largest) {
    if (s.n_layers != n_layers_of_largest) return;
    if (source.find(fmt::format("{}.attention.scale", architecture)) != nullptr) return;
    s.score_scale =
        1.0F / std::sqrt(static_cast<float>(s.dim) / static_cast<float>(s.heads.n_heads));
}

Result<float> read_cap(const ModelSource& source, const std::string& key) {
    KVASIR_TRY(const auto cap, source.find_f32(key));
    if (cap && (!(*cap >= 0) || !std::isfinite(*cap))) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected a positive number, or 0 for none", key, *cap)};
    }
    return cap.value_or(0.0F);
}

Result<ModelShape> read_gemma2_shape(const ModelSource& source, std::string_view architecture,
                                     std::uint32_t context) {
    KVASIR_TRY(ModelShape s, read_gemma_shape(source, architecture, context));
    KVASIR_TRY(s.score_cap,
               read_cap(source, fmt::format("{}.attn_logit_softcapping", architecture)));
    KVASIR_TRY(s.logit_cap,
               read_cap(source, fmt::format("{}.final_logit_softcapping", architecture)));
    s.has_branch_norms = true;
    KVASIR_TRY(const auto are_local, read_local_layers(source, architecture, s, 2));
    for (std::uint32_t i = 0; i < s.n_layers; ++i) {
        if (!are_local[i]) s.spans[i].reach = {};
    }
    scale_scores_by_dim(source, architecture, s, 46);
    return s;
}

Result<ModelShape> read_gemma3_shape(const ModelSource& source, std::string_view architecture,
                                     std::uint32_t context) {
    constexpr std::uint32_t kPeriod = 6;
    KVASIR_TRY(ModelShape s, read_gemma2_shape(source, architecture, context));
    KVASIR_TRY(const auto window,
               source.find_u32(fmt::format("{}.attention.sliding_window", architecture)));
    KVASIR_TRY(const auto local_base,
               source.find_f32(fmt::format("{}.rope.freq_base_swa", architecture)));
    const float base = local_base.value_or(10000.0F);
    if (!(base > 0) || !std::isfinite(base)) {
        return Error{ErrorCode::corrupt, fmt::format("{}.rope.freq_base_swa: {}, expected a "
                                                     "positive number",
                                                     architecture, base)};
    }
    s.has_qk_norm = true;
    s.ropes.push_back(plain_rope(s.rope_shape(), base));
    KVASIR_TRY(const auto are_local, read_local_layers(source, architecture, s, kPeriod));
    for (std::uint32_t i = 0; i < s.n_layers; ++i) {
        const bool is_local = are_local[i];
        const bool is_short = window.value_or(0) < s.context_length;
        s.spans[i] = {.reach = {.window = is_local && is_short ? window.value_or(0) : 0},
                      .rope = is_local ? 1U : 0U};
    }
    scale_scores_by_dim(source, architecture, s, 62);
    return s;
}

}  // namespace

Architecture gemma_architecture() {
    return {"gemma", read_gemma_shape, load_gemma};
}
Architecture gemma2_architecture() {
    return {"gemma2", read_gemma2_shape, load_gemma};
}
Architecture gemma3_architecture() {
    return {"gemma3", read_gemma3_shape, load_gemma};
}

}  // namespace kvasir
