#include "daemon/model/decoder.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kvasir {

Result<std::unique_ptr<Ops>> Ops::create(gpu::Device& device, const ModelShape& shape,
                                         std::uint32_t open_format,
                                         const std::optional<gpu::AttentionTiling>& tiling) {
    KVASIR_TRY(gpu::RopeAppendKv rope,
               gpu::RopeAppendKv::create(device, shape.heads, shape.rope_shape(), open_format,
                                         shape.has_qk_norm, shape.sink_span > 0));
    KVASIR_TRY(gpu::AddNorm add_norm, gpu::AddNorm::create(device));
    KVASIR_TRY(gpu::RowNorm row_norm, gpu::RowNorm::create(device));
    KVASIR_TRY(gpu::Experts experts, gpu::Experts::create(device, shape.experts));
    return std::unique_ptr<Ops>(new Ops{
        .embed = gpu::Embed(device),
        .mat_mul = gpu::MatMul(device),
        .rope_append_kv = std::move(rope),
        .seal_page =
            gpu::SealPage(device, shape.heads.n_kv_heads, shape.heads.head_dim, open_format),
        .attention = gpu::Attention(device, shape.heads, open_format, shape.score_scale,
                                    shape.score_cap, tiling),
        .add_norm = std::move(add_norm),
        .row_norm = std::move(row_norm),
        .experts = std::move(experts)});
}

Result<Activations> Activations::create(gpu::Device& device, const ModelShape& shape,
                                        const BatchLimits& limits,
                                        const gpu::Attention& attention) {
    using gpu::Buffer;
    using gpu::BufferDomain;
    const std::uint64_t n = limits.max_tokens;
    const std::uint64_t q_dim = std::uint64_t{shape.heads.n_heads} * shape.heads.head_dim;
    const std::uint64_t qkv_dim = q_dim + 2ULL * shape.heads.n_kv_heads * shape.heads.head_dim;
    // Splits are computed apart only where there are few tiles: sequences decoding, one token each.
    const std::uint64_t partials =
        attention.has_partials() ? attention.partial_bytes(limits.max_tokens, limits.max_splits)
                                 : 0;
    const gpu::ExpertShape& e = shape.experts;
    const std::uint64_t n_branches = n * std::max(1U, e.n_used);
    const auto create = [&](std::uint64_t n_elements) {
        return Buffer::create(device, std::max<std::uint64_t>(n_elements, 4) * 4,
                              BufferDomain::device);
    };
    Activations a;
    KVASIR_TRY(a.x, create(n * shape.dim));
    KVASIR_TRY(a.qkv, create(n * qkv_dim));
    KVASIR_TRY(a.q, create(n * q_dim));
    KVASIR_TRY(a.sink_q, create(shape.sink_span > 0 ? n * q_dim : 0));
    KVASIR_TRY(a.attn, create(n * q_dim));
    KVASIR_TRY(a.partials,
               Buffer::create(device, std::max<std::uint64_t>(partials, 16), BufferDomain::device));
    KVASIR_TRY(a.hidden, create(std::max(n * shape.ffn_dim, n * e.n_used * e.ffn_dim)));
    KVASIR_TRY(a.branch, create(n_branches * shape.dim));
    KVASIR_TRY(a.router, create(n * e.n_experts));
    KVASIR_TRY(a.chosen, create(n * e.n_used));
    KVASIR_TRY(a.shares, create(n * e.n_used));
    KVASIR_TRY(a.routes, create(gpu::Experts::route_words(e, n)));
    KVASIR_TRY(a.out_x, Buffer::create(device, std::uint64_t{limits.max_logit_rows} * shape.dim * 4,
                                       BufferDomain::device));
    KVASIR_TRY(a.logits,
               Buffer::create(device, std::uint64_t{limits.max_logit_rows} * shape.n_vocab * 4,
                              BufferDomain::readback));
    KVASIR_TRY(a.states, Buffer::create(device, n * shape.dim * 4, BufferDomain::readback));
    return a;
}

Result<> limit_attention(ModelShape& shape, std::uint32_t sinks, std::uint32_t recent) {
    constexpr std::uint32_t kMost = 1U << 24U;
    if (sinks == 0 || recent == 0 || sinks > kMost || recent > kMost) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("attention sinks: {} sinks and {} recent tokens, expected 1 to {} "
                                 "of each",
                                 sinks, recent, kMost)};
    }
    if (shape.rope_shape().n_rot == 0) {
        return Error{ErrorCode::invalid_argument,
                     "attention sinks: the model has learned positions, expected rotated ones"};
    }
    shape.sink_span = sinks + recent;
    for (LayerSpan& span : shape.spans) {
        if (span.reach.window != 0 && span.reach.window < sinks + recent) continue;
        span.reach = {.window = recent, .n_sinks = sinks};
    }
    return {};
}

}  // namespace kvasir
