#include "daemon/model/decoder.hpp"

#include <algorithm>

namespace kvasir {

Result<std::unique_ptr<Ops>> Ops::create(gpu::Device& device, const ModelShape& shape,
                                         std::uint32_t open_format) {
    KVASIR_TRY(gpu::RopeAppendKv rope,
               gpu::RopeAppendKv::create(device, shape.heads, shape.rope_shape(), open_format,
                                         shape.has_qk_norm));
    return std::unique_ptr<Ops>(new Ops{
        .embed = gpu::Embed(device),
        .mat_mul = gpu::MatMul(device),
        .rope_append_kv = std::move(rope),
        .seal_page =
            gpu::SealPage(device, shape.heads.n_kv_heads, shape.heads.head_dim, open_format),
        .attention = gpu::Attention(device, shape.heads, open_format, shape.score_scale)});
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
    const std::uint32_t most_splits = limits.max_pages / shared::kSplitPages + 1;
    const std::uint64_t partials =
        device.limits().is_cpu
            ? 16
            : std::max<std::uint64_t>(16, attention.partial_bytes(limits.max_tokens, most_splits));
    Activations a;
    KVASIR_TRY(a.x, Buffer::create(device, n * shape.dim * 4, BufferDomain::device));
    KVASIR_TRY(a.qkv, Buffer::create(device, n * qkv_dim * 4, BufferDomain::device));
    KVASIR_TRY(a.q, Buffer::create(device, n * q_dim * 4, BufferDomain::device));
    KVASIR_TRY(a.attn, Buffer::create(device, n * q_dim * 4, BufferDomain::device));
    KVASIR_TRY(a.partials, Buffer::create(device, partials, BufferDomain::device));
    KVASIR_TRY(a.hidden, Buffer::create(device, n * shape.ffn_dim * 4, BufferDomain::device));
    KVASIR_TRY(a.out_x, Buffer::create(device, std::uint64_t{limits.max_logit_rows} * shape.dim * 4,
                                       BufferDomain::device));
    KVASIR_TRY(a.logits,
               Buffer::create(device, std::uint64_t{limits.max_logit_rows} * shape.n_vocab * 4,
                              BufferDomain::readback));
    return a;
}

}  // namespace kvasir
