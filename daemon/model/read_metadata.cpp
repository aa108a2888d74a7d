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
Result<> check_bounds(const ModelSource& source, std::span<const Bound> bounds) {
    for (const Bound& bound : bounds) {
        if (bound.value == 0 || bound.value > bound.most) {
            return Error{ErrorCode::corrupt,
                         fmt::format("{}: {}, expected 1 to {}", source.label(bound.key),
                                     bound.value, bound.most)};
        }
    }
    return {};
}

Result<gpu::ExpertShape> read_experts(const ModelSource& source, std::string_view architecture,
                                      const ModelShape& s, const ShapeRules& rules) {
    const auto key = [&](std::string_view name) {
        return fmt::format("{}.{}", architecture, name);
    };
    KVASIR_TRY(const auto n_experts, source.find_u32(key("expert_count")));
    if (n_experts.value_or(0) == 0) return gpu::ExpertShape{};
    if (!rules.may_have_experts) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: {} experts, expected none: mixtures of this family are not "
                                 "supported",
                                 source.label(key("expert_count")), *n_experts)};
    }
    KVASIR_TRY(const std::uint32_t n_used, source.get_u32(key("expert_used_count")));
    KVASIR_TRY(const auto ffn_dim, source.find_u32(key("expert_feed_forward_length")));
    const gpu::ExpertShape experts{
        .n_experts = *n_experts, .n_used = n_used, .ffn_dim = ffn_dim.value_or(s.ffn_dim)};
    const std::array bounds = {
        Bound{key("expert_count"), experts.n_experts, shared::kMaxExperts},
        Bound{key("expert_used_count"), experts.n_used, std::min(experts.n_experts, 64U)},
        Bound{key("expert_feed_forward_length"), experts.ffn_dim, 1U << 19U}};
    KVASIR_TRY_VOID(check_bounds(source, bounds));
    return experts;
}

/// (n_layers): the window of `attention.sliding_window`, or none, in all layers or in those of
/// `attention.sliding_window_pattern`.
Result<std::vector<LayerSpan>> read_spans(const ModelSource& source, std::string_view architecture,
                                          const ModelShape& s) {
    KVASIR_TRY(const auto window,
               source.find_u32(fmt::format("{}.attention.sliding_window", architecture)));
    const bool is_short = window.value_or(0) < s.context_length;  // the window hides something
    KVASIR_TRY(const auto are_local, read_window_pattern(source, architecture, s.n_layers));
    std::vector<LayerSpan> spans(s.n_layers);
    for (std::uint32_t i = 0; is_short && i < s.n_layers; ++i) {
        if (!are_local || (*are_local)[i]) spans[i].reach.window = window.value_or(0);
    }
    return spans;
}

/// 1 / sqrt(head_dim), unless the source says otherwise.
Result<float> read_score_scale(const ModelSource& source, std::string_view architecture,
                               const ModelShape& s) {
    const std::string key = fmt::format("{}.attention.scale", architecture);
    KVASIR_TRY(const auto scale, source.find_f32(key));
    if (scale && !(*scale > 0)) {
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected a positive number", source.label(key), *scale)};
    }
    return scale.value_or(1.0F / std::sqrt(static_cast<float>(s.heads.head_dim)));
}

Result<std::vector<Rope>> read_ropes(const ModelSource& source, std::string_view architecture,
                                     const ModelShape& s, const ShapeRules& rules) {
    if (!rules.has_rope) return std::vector<Rope>(1);
    const std::uint32_t context =
        rules.context == 0 ? s.context_length : std::min(rules.context, s.context_length);
    KVASIR_TRY(Rope rope, read_rope(source, architecture,
                                    {.head_dim = s.heads.head_dim,
                                     .context = context,
                                     .interleaved = rules.rope_interleaved}));
    return std::vector<Rope>{std::move(rope)};
}

}  // namespace

Result<std::optional<std::vector<bool>>> read_window_pattern(const ModelSource& source,
                                                             std::string_view architecture,
                                                             std::uint32_t n_layers) {
    const std::string key = fmt::format("{}.attention.sliding_window_pattern", architecture);
    const GgufValue* value = source.find(key);
    const auto* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
    if (array == nullptr)
        return std::optional<std::vector<bool>>();  // a period is the family's own
    const auto* flags = std::get_if<std::vector<std::int64_t>>(array);
    if (flags == nullptr || flags->size() != n_layers) {
        return Error{ErrorCode::corrupt, fmt::format("{}: expected {} flags, one a layer",
                                                     source.label(key), n_layers)};
    }
    return std::optional(std::vector<bool>(flags->begin(), flags->end()));
}

Result<ModelShape> read_common_shape(const ModelSource& source, std::string_view architecture,
                                     const ShapeRules& rules) {
    const auto key = [&](std::string_view name) {
        return fmt::format("{}.{}", architecture, name);
    };
    ModelShape s;
    KVASIR_TRY(s.n_layers, source.get_u32(key("block_count")));
    KVASIR_TRY(s.dim, source.get_u32(key("embedding_length")));
    KVASIR_TRY(s.ffn_dim, source.get_u32(key("feed_forward_length")));
    KVASIR_TRY(s.context_length, source.get_u32(key("context_length")));
    KVASIR_TRY(s.heads.n_heads, source.get_u32(key("attention.head_count")));
    KVASIR_TRY(const auto n_kv_heads, source.find_u32(key("attention.head_count_kv")));
    KVASIR_TRY(s.norm_eps, source.get_f32(key(rules.norm_eps)));
    s.heads.n_kv_heads = n_kv_heads.value_or(s.heads.n_heads);
    const std::array bounds = {
        Bound{key("block_count"), s.n_layers, 1024},
        Bound{key("embedding_length"), s.dim, 1U << 16U},
        Bound{key("feed_forward_length"), s.ffn_dim, 1U << 19U},
        Bound{key("context_length"), s.context_length, 1U << 24U},
        Bound{key("attention.head_count"), s.heads.n_heads, 1024},
        Bound{key("attention.head_count_kv"), s.heads.n_kv_heads, s.heads.n_heads}};
    KVASIR_TRY_VOID(check_bounds(source, bounds));
    if (s.heads.n_heads % s.heads.n_kv_heads != 0) {
        return Error{ErrorCode::corrupt, fmt::format("{}: {}, expected a divisor of {} heads",
                                                     source.label(key("attention.head_count_kv")),
                                                     s.heads.n_kv_heads, s.heads.n_heads)};
    }
    KVASIR_TRY(const auto key_length, source.find_u32(key("attention.key_length")));
    KVASIR_TRY(const auto value_length, source.find_u32(key("attention.value_length")));
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
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}, expected a small positive number",
                                 source.label(key(rules.norm_eps)), s.norm_eps)};
    }
    KVASIR_TRY(s.experts, read_experts(source, architecture, s, rules));
    const TensorInfo* embedding = source.find_tensor("token_embd.weight");
    const std::string name = source.label("token_embd.weight");
    if (embedding == nullptr)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {}: tensor missing", source.path().string(), name)};
    if (embedding->shape.size() != 2 || embedding->shape[0] > kMostTokens ||
        embedding->shape[1] != s.dim) {
        return Error{
            ErrorCode::corrupt,
            fmt::format("{}: {}: shape ({}), expected (1 to {}, {})", source.path().string(), name,
                        fmt::join(embedding->shape, ", "), kMostTokens, s.dim)};
    }
    s.n_vocab = static_cast<std::uint32_t>(embedding->shape[0]);
    KVASIR_TRY(s.score_scale, read_score_scale(source, architecture, s));
    KVASIR_TRY(s.spans, read_spans(source, architecture, s));
    KVASIR_TRY(s.ropes, read_ropes(source, architecture, s, rules));
    return s;
}

}  // namespace kvasir
