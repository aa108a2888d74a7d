// What the op orders have in common: the middle of attention, and the rows whose logits or hidden
// states are wanted.
#pragma once

#include "daemon/model/decoder.hpp"

namespace kvasir {

/// activations.qkv -> activations.attn: rotated, appended to the open pages, sealed where a page is
/// full, attended. norm: where the model normalizes heads.
void record_attend(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                   const ModelShape& shape, std::uint32_t layer, const gpu::HeadNorm& norm = {});

struct LogitRows {
    gpu::Slice x;  // (n, dim)
    std::uint32_t n = 0;
};

/// The residual stream of the rows whose logits are wanted.
LogitRows gather_logit_rows(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                            const ModelShape& shape);

/// The model's final norm of the rows whose hidden states are wanted, into activations.states.
void record_states(gpu::Recorder& rec, const Batch& batch, const DecoderContext& c,
                   const ModelShape& shape, const gpu::Vector& norm, std::uint32_t norm_kind);

}  // namespace kvasir
