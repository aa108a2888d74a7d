#include "daemon/model/read_metadata.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "quant/shared/kv_format.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kMostTokens = 1U << 20U;  // of a vocabulary

struct Bound {
    std::string key;
    std::uint32_t value;
    std::uint32_t most;
};

/// Far above any model there is; below what would overflow a size computed in 64 bits, or a grid of
/// 65,535 row tiles.
Result<> check_bounds(std::span<const Bound> bounds) {
    for (const Bound& bound : bounds) {
        if (bound.value == 0 || bound.value > bound.most) {
            return Error{ErrorCode::corrupt, fmt::format("{}: {}, expected 1 to {}", bound.key,
                                                         bound.value, bound.most)};
        }
    }
    return {};
}

Result<gpu::ExpertShape> read_experts(const GgufFile& file, std::string_view architecture,
                                      const ModelShape& s, const ShapeRules& rules) {
    const auto key = [&](std::string_view name) {
        return fmt::format("{}.{}", architecture, name);
    };
    KVASIR_TRY(const auto n_experts, file.find_u32(key("expert_count")));
    if (n_experts.value_or(0) == 0) return gpu::ExpertShape{};
    if (!rules.may_have_experts) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: {} experts, expected none: mixtures of this family are not "
                                 "supported",
                                 key("expert_count"), *n_experts)};
    }
    KVASIR_TRY(const std::uint32_t n_used, file.get_u32(key("expert_used_count")));
    KVASIR_TRY(const auto ffn_dim, file.find_u32(key("expert_feed_forward_length")));
    const gpu::ExpertShape experts{
        .n_experts = *n_experts, .n_used = n_used, .ffn_dim = ffn_dim.value_or(s.ffn_dim)};
    const std::array bounds = {
        Bound{key("expert_count"), experts.n_experts, shared::kMaxExperts},
        Bound{key("expert_used_count"), experts.n_used, std::min(experts.n_experts, 64U)},
        Bound{key("expert_feed_forward_length"), experts.ffn_dim, 1U << 19U}};
    KVASIR_TRY_VOID(check_bounds(bounds));
    return experts;
}

/// (n_layers) alike: the window of `attention.sliding_window`, or none.
Result<std::vector<LayerSpan>> read_spans(const GgufFile& file, std::string_view architecture,
                                          const ModelShape& s) {
    KVASIR_TRY(const auto window,
               file.find_u32(fmt::format("{}.attention.sliding_window", architecture)));
    const bool is_short = window.value_or(0) < s.context_length;  // the window hides something
    return std::vector<LayerSpan>(
        s.n_layers, LayerSpan{.reach = {.window = is_short ? window.value_or(0) : 0}});
}

Result<std::vector<Rope>> read_ropes(const GgufFile& file, std::string_view architecture,
                                     const ModelShape& s, const ShapeRules& rules) {
    if (!rules.has_rope) return std::vector<Rope>(1);
    const std::uint32_t context =
        rules.context == 0 ? s.context_length : std::min(rules.context, s.context_length);
    KVASIR_TRY(Rope rope, read_rope(file, architecture,
                                    {.head_dim = s.heads.head_dim,
                                     .context = context,
                                     .interleaved = rules.rope_interleaved}));
    return std::vector<Rope>{std::move(rope)};
}

}  // namespace

Result<ModelShape> read_common_shape(const GgufFile& file, std::string_view architecture,
                                     const ShapeRules& rules) {
    const auto key = [&](std::string_view name) {
        return fmt::format("{}.{}", architecture, name);
    };
    ModelShape s;
    KVASIR_TRY(s.n_layers, file.get_u32(key("block_count")));
    KVASIR_TRY(s.dim, file.get_u32(key("embedding_length")));
    KVASIR_TRY(s.ffn_dim, file.get_u32(key("feed_forward_length")));
    KVASIR_TRY(s.context_length, file.get_u32(key("context_length")));
    KVASIR_TRY(s.heads.n_heads, file.get_u32(key("attention.head_count")));
    KVASIR_TRY(const auto n_kv_heads, file.find_u32(key("attention.head_count_kv")));
    KVASIR_TRY(s.norm_eps, file.get_f32(key(rules.norm_eps)));
    s.heads.n_kv_heads = n_kv_heads.value_or(s.heads.n_heads);
    const std::array bounds = {
        Bound{key("block_count"), s.n_layers, 1024},
        Bound{key("embedding_length"), s.dim, 1U << 16U},
        Bound{key("feed_forward_length"), s.ffn_dim, 1U << 19U},
        Bound{key("context_length"), s.context_length, 1U << 24U},
        Bound{key("attention.head_count"), s.heads.n_heads, 1024},
        Bound{key("attention.head_count_kv"), s.heads.n_kv_heads, s.heads.n_heads}};
    KVASIR_TRY_VOID(check_bounds(bounds));
    if (s.heads.n_heads % s.heads.n_kv_heads != 0) {
        return Error{ErrorCode::corrupt, fmt::format("{}: {}, expected a divisor of {} heads",
                                                     key("attention.head_count_kv"),
                                                     s.heads.n_kv_heads, s.heads.n_heads)};
    }
    KVASIR_TRY(const auto key_length, file.find_u32(key("attention.key_length")));
    KVASIR_TRY(const auto value_length, file.find_u32(key("attention.value_length")));
    s.heads.head_dim = key_length.value_or(s.dim / s.heads.n_heads);
    if (value_length.value_or(s.heads.head_dim) != s.heads.head_dim || s.heads.head_dim == 0 ||
        s.heads.head_dim % 8 != 0 || s.heads.head_dim > shared::kMaxHeadDim) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: head dimensions {} (keys) and {} (values), expected equal "
                                 "multiples of 8 up to {}",
                                 architecture, s.heads.head_dim,
                                 value_length.value_or(s.heads.head_dim), shared::kMaxHeadDim)};
    }
    if (!(s.norm_eps >= 0) || !std::isfinite(s.norm_eps)) {
        return Error{ErrorCode::corrupt, fmt::format("{}: {}, expected a small positive number",
                                                     key(rules.norm_eps), s.norm_eps)};
    }
    KVASIR_TRY(s.experts, read_experts(file, architecture, s, rules));
    const TensorInfo* embedding = file.find_tensor("token_embd.weight");
    if (embedding == nullptr)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: token_embd.weight: tensor missing", file.path().string())};
    if (embedding->shape.size() != 2 || embedding->shape[0] > kMostTokens ||
        embedding->shape[1] != s.dim) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: token_embd.weight: shape ({}), expected (1 to {}, {})",
                                 file.path().string(), fmt::join(embedding->shape, ", "),
                                 kMostTokens, s.dim)};
    }
    s.n_vocab = static_cast<std::uint32_t>(embedding->shape[0]);
    s.score_scale = 1.0F / std::sqrt(static_cast<float>(s.heads.head_dim));
    KVASIR_TRY(s.spans, read_spans(file, architecture, s));
    KVASIR_TRY(s.ropes, read_ropes(file, architecture, s, rules));
    return s;
}

}  // namespace kvasir
