#include "daemon/model/arch/layer_norm_weights.hpp"

#include <fmt/format.h>

#include "daemon/model/arch/parts.hpp"

namespace kvasir {
namespace {

Result<gpu::Vector> load_norm(TensorLoader& loader, const std::string& name, std::uint32_t dim) {
    return loader.stacked_vector({{name + ".weight", dim}, {name + ".bias", dim}});
}

Result<BiasedMatrix> load_matrix(TensorLoader& loader, const std::string& name,
                                 std::uint32_t n_rows, std::uint32_t n_cols) {
    BiasedMatrix matrix;
    KVASIR_TRY(matrix.weight, loader.matrix(name + ".weight", n_rows, n_cols));
    KVASIR_TRY(matrix.bias, loader.optional_vector(name + ".bias", n_rows));
    return matrix;
}

Result<BiasedMatrix> load_qkv(TensorLoader& loader, const ModelShape& s, const std::string& layer) {
    const std::uint32_t q_dim = s.heads.n_heads * s.heads.head_dim;
    const std::uint32_t kv_dim = s.heads.n_kv_heads * s.heads.head_dim;
    if (loader.has(layer + "attn_qkv.weight"))
        return load_matrix(loader, layer + "attn_qkv", q_dim + 2 * kv_dim, s.dim);
    BiasedMatrix qkv;
    KVASIR_TRY(qkv.weight, loader.stacked({{layer + "attn_q.weight", q_dim},
                                           {layer + "attn_k.weight", kv_dim},
                                           {layer + "attn_v.weight", kv_dim}},
                                          s.dim));
    if (loader.has(layer + "attn_q.bias")) {
        KVASIR_TRY(qkv.bias, loader.stacked_vector({{layer + "attn_q.bias", q_dim},
                                                    {layer + "attn_k.bias", kv_dim},
                                                    {layer + "attn_v.bias", kv_dim}}));
    }
    return qkv;
}

Result<LayerNormLayer> load_layer(TensorLoader& loader, const ModelShape& s, std::uint32_t index) {
    const std::string blk = fmt::format("blk.{}.", index);
    LayerNormLayer layer;
    KVASIR_TRY(layer.attn_norm, load_norm(loader, blk + "attn_norm", s.dim));
    KVASIR_TRY(layer.qkv, load_qkv(loader, s, blk));
    KVASIR_TRY(layer.wo,
               load_matrix(loader, blk + "attn_output", s.dim, s.heads.n_heads * s.heads.head_dim));
    KVASIR_TRY(layer.ffn_norm, load_norm(loader, blk + "ffn_norm", s.dim));
    KVASIR_TRY(layer.up, load_matrix(loader, blk + "ffn_up", s.ffn_dim, s.dim));
    KVASIR_TRY(layer.down, load_matrix(loader, blk + "ffn_down", s.dim, s.ffn_dim));
    return layer;
}

}  // namespace

Result<LayerNormWeights> LayerNormWeights::load(TensorLoader& loader, const ModelShape& s) {
    LayerNormWeights weights;
    KVASIR_TRY(weights.embedding, loader.matrix("token_embd.weight", s.n_vocab, s.dim));
    if (s.rope_shape().n_rot == 0) {
        KVASIR_TRY(weights.positions,
                   loader.matrix("position_embd.weight", s.context_length, s.dim));
    }
    for (std::uint32_t i = 0; i < s.n_layers; ++i) {
        KVASIR_TRY(LayerNormLayer layer, load_layer(loader, s, i));
        weights.layers.push_back(std::move(layer));
    }
    KVASIR_TRY(weights.output_norm, load_norm(loader, "output_norm", s.dim));
    if (loader.has("output.weight")) {
        KVASIR_TRY(weights.output, loader.matrix("output.weight", s.n_vocab, s.dim));
    }
    return weights;
}

Result<> LayerNormWeights::prepare(Ops& ops, const ModelShape& shape) const {
    const auto prepare = [&](const BiasedMatrix& m, std::uint32_t epilogue, std::uint32_t norm) {
        return ops.mat_mul.prepare(m.weight, {0, epilogue, norm, m.bias.has_value()});
    };
    KVASIR_TRY_VOID(ops.embed.prepare(embedding.format));
    if (positions) {
        KVASIR_TRY_VOID(ops.embed.prepare(positions->format, gpu::Embed::Mode::add));
    }
    for (const LayerNormLayer& w : layers) {
        KVASIR_TRY_VOID(prepare(w.qkv, shared::kEpilogueStore, shared::kNormLayer));
        KVASIR_TRY_VOID(prepare(w.wo, shared::kEpilogueAdd, shared::kNormNone));
        KVASIR_TRY_VOID(prepare(w.up, shape.ffn_epilogue, shared::kNormLayer));
        KVASIR_TRY_VOID(prepare(w.down, shared::kEpilogueAdd, shared::kNormNone));
    }
    return ops.mat_mul.prepare(
        {output_or_embedding().format, shared::kEpilogueStore, shared::kNormLayer});
}

void LayerNormWeights::record_embedding(gpu::Recorder& rec, const Batch& batch,
                                        const DecoderContext& c) const {
    const gpu::Slice x = c.activations.x.slice();
    c.ops.embed.record(rec, embedding, batch.tokens, x, batch.n_tokens);
    if (positions) {
        c.ops.embed.record(rec, *positions, batch.positions, x, batch.n_tokens, 1,
                           gpu::Embed::Mode::add);
    }
}

void LayerNormWeights::record_logits(gpu::Recorder& rec, const Batch& batch,
                                     const DecoderContext& c, const ModelShape& shape) const {
    const LogitRows rows = gather_logit_rows(rec, batch, c, shape);
    if (rows.n == 0) return;
    c.ops.mat_mul.record(rec, {.weights = &output_or_embedding(),
                               .x = rows.x,
                               .y = c.activations.logits.slice(),
                               .n_tokens = rows.n,
                               .y_stride = shape.n_vocab,
                               .norm = &output_norm,
                               .norm_kind = shared::kNormLayer,
                               .norm_eps = shape.norm_eps});
}

gpu::MatMul::Args matrix_args(const BiasedMatrix& matrix, const gpu::Buffer& x,
                              const gpu::Buffer& y, std::uint32_t n_tokens,
                              std::uint32_t epilogue) {
    return {.weights = &matrix.weight,
            .x = x.slice(),
            .y = y.slice(),
            .n_tokens = n_tokens,
            .y_stride = matrix.weight.n_rows,
            .epilogue = epilogue,
            .bias = matrix.bias_or_null()};
}

gpu::MatMul::Args normed_args(const BiasedMatrix& matrix, const gpu::Vector& norm, float eps,
                              const gpu::Buffer& x, const gpu::Buffer& y, std::uint32_t n_tokens,
                              std::uint32_t epilogue) {
    gpu::MatMul::Args args = matrix_args(matrix, x, y, n_tokens, epilogue);
    args.norm = &norm;
    args.norm_kind = shared::kNormLayer;
    args.norm_eps = eps;
    return args;
}

}  // namespace kvasir
