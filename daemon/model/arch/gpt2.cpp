// GPT-2 and what shares its op order: LayerNorm, attention, LayerNorm, a GELU feed-forward, each
// half added before the next reads.
#include "daemon/model/arch/architectures.hpp"
#include "daemon/model/arch/layer_norm_weights.hpp"
#include "daemon/model/arch/parts.hpp"
#include "daemon/model/read_metadata.hpp"

namespace kvasir {
namespace {

class Gpt2Decoder : public Decoder {
public:
    Gpt2Decoder(ModelShape shape, LayerNormWeights weights)
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
            mat_mul.record(rec, matrix_args(w.wo, a.attn, a.x, n, shared::kEpilogueAdd));
            mat_mul.record(
                rec, normed_args(w.up, w.ffn_norm, s_.norm_eps, a.x, a.hidden, n, s_.ffn_epilogue));
            mat_mul.record(rec, matrix_args(w.down, a.hidden, a.x, n, shared::kEpilogueAdd));
        }
        weights_.record_logits(rec, batch, c, s_);
        record_states(rec, batch, c, s_, weights_.output_norm, shared::kNormLayer);
    }

private:
    ModelShape s_;
    LayerNormWeights weights_;
};

Result<ModelShape> read_gpt2_shape(const ModelSource& source, std::string_view architecture,
                                   std::uint32_t context) {
    KVASIR_TRY(ModelShape shape, read_common_shape(source, architecture,
                                                   {.context = context,
                                                    .has_rope = false,
                                                    .norm_eps = "attention.layer_norm_epsilon"}));
    shape.ffn_epilogue = shared::kEpilogueGelu;
    return shape;
}

Result<ModelShape> read_starcoder2_shape(const ModelSource& source, std::string_view architecture,
                                         std::uint32_t context) {
    KVASIR_TRY(ModelShape shape,
               read_common_shape(source, architecture,
                                 {.context = context, .norm_eps = "attention.layer_norm_epsilon"}));
    shape.ffn_epilogue = shared::kEpilogueGelu;
    return shape;
}

}  // namespace

Result<std::unique_ptr<Decoder>> load_gpt2(TensorLoader& loader, const ModelShape& shape,
                                           Ops& ops) {
    KVASIR_TRY(LayerNormWeights weights, LayerNormWeights::load(loader, shape));
    KVASIR_TRY_VOID(weights.prepare(ops, shape));
    return std::unique_ptr<Decoder>(new Gpt2Decoder(shape, std::move(weights)));
}

Architecture gpt2_architecture() {
    return {"gpt2", read_gpt2_shape, load_gpt2};
}
Architecture starcoder2_architecture() {
    return {"starcoder2", read_starcoder2_shape, load_gpt2};
}

}  // namespace kvasir
