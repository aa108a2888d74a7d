#include "daemon/model/arch/expert_feed_forward.hpp"

namespace kvasir {

Result<ExpertFeedForward> ExpertFeedForward::load(TensorLoader& loader, const ModelShape& shape,
                                                  const std::string& layer) {
    const gpu::ExpertShape& e = shape.experts;
    ExpertFeedForward block;
    KVASIR_TRY(block.router, loader.matrix(layer + "ffn_gate_inp.weight", e.n_experts, shape.dim));
    KVASIR_TRY(block.gate_up,
               loader.expert_gate_up(layer + "ffn_gate_exps.weight", layer + "ffn_up_exps.weight",
                                     e.n_experts, e.ffn_dim, shape.dim));
    KVASIR_TRY(block.down, loader.expert_matrices(layer + "ffn_down_exps.weight", e.n_experts,
                                                  shape.dim, e.ffn_dim));
    return block;
}

Result<> ExpertFeedForward::prepare(gpu::MatMul& mat_mul) const {
    KVASIR_TRY_VOID(mat_mul.prepare({.format = router.format, .norm = shared::kNormRms}));
    KVASIR_TRY_VOID(mat_mul.prepare({.format = gate_up.format,
                                     .epilogue = shared::kEpilogueSiluMul,
                                     .norm = shared::kNormRms,
                                     .routed = true}));
    return mat_mul.prepare({.format = down.format, .routed = true});
}

void ExpertFeedForward::record(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                               const ModelShape& shape, const gpu::Vector& norm) const {
    const Activations& a = c.activations;
    const gpu::ExpertShape& e = shape.experts;
    c.ops.mat_mul.record(rec, {.weights = &router,
                               .x = a.x.slice(),
                               .y = a.router.slice(),
                               .n_tokens = batch.n_tokens,
                               .y_stride = e.n_experts,
                               .norm = &norm,
                               .norm_eps = shape.norm_eps});
    const gpu::ExpertRoutes routes =
        c.ops.experts.record_choice(rec, a.router.slice(), a.chosen.slice(), a.shares.slice(),
                                    a.routes.slice(), batch.n_tokens);
    c.ops.mat_mul.record(rec, {.weights = &gate_up,
                               .x = a.x.slice(),
                               .y = a.hidden.slice(),
                               .n_tokens = routes.n_rows,
                               .y_stride = e.ffn_dim,
                               .epilogue = shared::kEpilogueSiluMul,
                               .norm = &norm,
                               .norm_eps = shape.norm_eps,
                               .routes = &routes,
                               .x_share = e.n_used});
    c.ops.mat_mul.record(rec, {.weights = &down,
                               .x = a.hidden.slice(),
                               .y = a.branch.slice(),
                               .n_tokens = routes.n_rows,
                               .y_stride = shape.dim,
                               .routes = &routes});
    c.ops.experts.record_sum(rec, a.branch.slice(), a.shares.slice(), a.x.slice(), shape.dim,
                             batch.n_tokens);
}

}  // namespace kvasir
