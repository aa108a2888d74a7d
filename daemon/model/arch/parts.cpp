#include "daemon/model/arch/parts.hpp"

namespace kvasir {

void record_attend(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                   const ModelShape& shape, std::uint32_t layer, const gpu::HeadNorm& norm) {
    const Activations& a = c.activations;
    const gpu::KvLayer kv = c.kv.layer(layer);
    const LayerSpan& span = shape.spans[layer];
    const bool is_limited = span.reach.n_sinks == 0 || batch.has_sinks;
    c.ops.rope_append_kv.record(
        rec, a.qkv.slice(), batch.ropes[span.rope], batch.slots, a.q.slice(), kv, batch.n_tokens,
        norm,
        batch.has_sinks ? gpu::SinkQueries{batch.sink_ropes[span.rope], a.sink_q.slice()}
                        : gpu::SinkQueries{});
    if (batch.n_sealed > 0) {
        // Before attention: later pages' queries of this very step read the sealed page.
        c.ops.seal_page.record(rec, batch.seal_jobs, batch.seal_status, kv, batch.n_sealed,
                               batch.sealed_slabs);
    }
    c.ops.attention.record(rec, a.q.slice(), kv, batch.attention, a.partials.slice(),
                           a.attn.slice(), is_limited ? span.reach : gpu::AttentionReach{},
                           a.sink_q.slice());
}

LogitRows gather_logit_rows(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                            const ModelShape& shape) {
    const Activations& a = c.activations;
    const auto n = static_cast<std::uint32_t>(batch.logit_rows.size());
    if (n == batch.n_tokens) return {a.x.slice(), n};
    const std::uint64_t row_bytes = std::uint64_t{shape.dim} * 4;
    for (std::uint32_t i = 0; i < n; ++i) {
        rec.copy(a.x.slice(batch.logit_rows[i] * row_bytes, row_bytes),
                 a.out_x.slice(i * row_bytes, row_bytes));
    }
    return {a.out_x.slice(), n};
}

void record_states(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                   const ModelShape& shape, const gpu::Vector& norm, std::uint32_t norm_kind) {
    std::uint32_t row = 0;
    for (const RowRange& rows : batch.state_rows) {
        c.ops.row_norm.record(rec, {.x = c.activations.x.slice(),
                                    .y = c.activations.states.slice(),
                                    .norm = &norm,
                                    .norm_kind = norm_kind,
                                    .eps = shape.norm_eps,
                                    .n_cols = shape.dim,
                                    .n_rows = rows.n,
                                    .x_first = rows.first,
                                    .y_first = row});
        row += rows.n;
    }
}

}  // namespace kvasir
