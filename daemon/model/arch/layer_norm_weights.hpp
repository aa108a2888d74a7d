// The tensors of models with LayerNorm, biases and a plain GELU feed-forward: GPT-2, StarCoder2,
// GPT-Neo, GPT-NeoX. The order of their ops is gpt2.cpp's or gptneox.cpp's.
#pragma once

#include <optional>
#include <vector>

#include "daemon/model/decoder.hpp"

namespace kvasir {

/// A matrix and what is added to its product.
struct BiasedMatrix {
    gpu::Matrix weight;               // (n_rows, n_cols)
    std::optional<gpu::Vector> bias;  // (n_rows)

    const gpu::Vector* bias_or_null() const { return bias ? &*bias : nullptr; }
};

struct LayerNormLayer {
    gpu::Vector attn_norm;  // (2, dim): weight, bias
    BiasedMatrix qkv;       // (q_dim + 2 kv_dim, dim)
    BiasedMatrix wo;        // (dim, q_dim)
    gpu::Vector ffn_norm;   // (2, dim)
    BiasedMatrix up;        // (ffn_dim, dim)
    BiasedMatrix down;      // (dim, ffn_dim)
};

struct LayerNormWeights {
    gpu::Matrix embedding;                 // (n_vocab, dim)
    std::optional<gpu::Matrix> positions;  // (context_length, dim): learned ones
    std::vector<LayerNormLayer> layers;    // (n_layers)
    gpu::Vector output_norm;               // (2, dim)
    std::optional<gpu::Matrix> output;     // (n_vocab, dim); absent: tied to embedding

    static Result<LayerNormWeights> load(TensorLoader& loader, const ModelShape& shape);
    Result<> prepare(Ops& ops, const ModelShape& shape) const;
    const gpu::Matrix& output_or_embedding() const { return output ? *output : embedding; }

    /// Token embeddings, and positions on top where they are learned.
    void record_embedding(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const;
    void record_logits(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                       const ModelShape& shape) const;
};

/// y (op)= weight * x + bias.
gpu::MatMul::Args matrix_args(const BiasedMatrix& matrix, const gpu::Buffer& x,
                              const gpu::Buffer& y, std::uint32_t n_tokens, std::uint32_t epilogue);
/// The same of layer_norm(x).
gpu::MatMul::Args normed_args(const BiasedMatrix& matrix, const gpu::Vector& norm, float eps,
                              const gpu::Buffer& x, const gpu::Buffer& y, std::uint32_t n_tokens,
                              std::uint32_t epilogue);

/// GPT-Neo's models, and those of gptneox.cpp whose halves are not parallel, have gpt2.cpp's order.
Result<std::unique_ptr<Decoder>> load_gpt2(TensorLoader& loader, const ModelShape& shape, Ops& ops);

}  // namespace kvasir
