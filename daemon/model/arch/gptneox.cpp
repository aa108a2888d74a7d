// GPT-NeoX (Pythia): attention and feed-forward read the same residual stream, each through a
// LayerNorm of its own, and both are added to it; part of a head's channels is rotated.
#include "daemon/model/arch/architectures.hpp"
#include "daemon/model/arch/layer_norm_weights.hpp"
#include "daemon/model/arch/parts.hpp"
#include "daemon/model/read_metadata.hpp"

namespace kvasir {
namespace {

class GptNeoxDecoder : public Decoder {
public:
    GptNeoxDecoder(ModelShape shape, LayerNormWeights weights)
        : s_(std::move(shape)), weights_(std::move(weights)) {}

    void record(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c) const override {
        const Activations& a = c.activations;
        const gpu::MatMul& mat_mul = c.ops.mat_mul;
        const std::uint32_t n = batch.n_tokens;
        weights_.record_embedding(rec, batch, c);
        for (std::uint32_t i = 0; i < s_.n_layers; ++i) {
            const LayerNormLayer& w = weights_.layers[i];
            mat_mul.record(rec, normed_args(w.qkv, w.attn_norm, s_.norm_eps, a.x, a.qkv, n,
                                            shared::kEpilogueStore));
            record_attend(rec, batch, c, s_, i);
            mat_mul.record(
                rec, normed_args(w.up, w.ffn_norm, s_.norm_eps, a.x, a.hidden, n, s_.ffn_epilogue));
            mat_mul.record(rec, matrix_args(w.wo, a.attn, a.x, n, shared::kEpilogueAdd));
            mat_mul.record(rec, matrix_args(w.down, a.hidden, a.x, n, shared::kEpilogueAdd));
        }
        weights_.record_logits(rec, batch, c, s_);
        record_states(rec, batch, c, s_, weights_.output_norm, shared::kNormLayer);
    }

private:
    ModelShape s_;
    LayerNormWeights weights_;
};

Result<ModelShape> read_gptneox_shape(const ModelSource& source, std::string_view architecture,
                                      std::uint32_t context) {
    KVASIR_TRY(ModelShape shape,
               read_common_shape(source, architecture,
                                 {.context = context, .norm_eps = "attention.layer_norm_epsilon"}));
    KVASIR_TRY(const auto is_parallel,
               source.find_bool(std::string(architecture) + ".use_parallel_residual"));
    shape.is_parallel = is_parallel.value_or(true);
    shape.ffn_epilogue = shared::kEpilogueGeluExact;
    return shape;
}

Result<std::unique_ptr<Decoder>> load_gptneox(TensorLoader& loader, const ModelShape& shape,
                                              Ops& ops) {
    if (!shape.is_parallel) return load_gpt2(loader, shape, ops);
    KVASIR_TRY(LayerNormWeights weights, LayerNormWeights::load(loader, shape));
    KVASIR_TRY_VOID(weights.prepare(ops, shape));
    return std::unique_ptr<Decoder>(new GptNeoxDecoder(shape, std::move(weights)));
}

}  // namespace

Architecture gptneox_architecture() {
    return {"gptneox", read_gptneox_shape, load_gptneox};
}

}  // namespace kvasir
