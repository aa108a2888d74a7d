#include "daemon/model/hf/hf_mapping.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "quant/model_source.hpp"

namespace kvasir {

void HfMapping::biased(const std::string& name, const std::string& part, HfLayout layout) {
    tensor(name + ".weight", part + ".weight", layout);
    tensor(name + ".bias", part + ".bias", layout);
}

Result<HfSizes> map_sizes(const HfConfig& config, HfMapping& out, const HfSizeKeys& keys) {
    const auto size = [&](std::string_view key, std::uint32_t otherwise, std::uint32_t most) {
        Result<std::uint32_t> found =
            otherwise == 0 ? config.u32(key) : config.u32_or(key, otherwise);
        if (!found.has_error() && (*found == 0 || *found > most)) {
            found = config.fields().corrupt(
                fmt::format("`{}`: {}, expected 1 to {}", key, *found, most));
        }
        return found;
    };
    HfSizes s;
    KVASIR_TRY(s.n_layers, size(keys.n_layers, 0, 1024));
    KVASIR_TRY(s.dim, size(keys.dim, 0, 1U << 16U));
    KVASIR_TRY(s.n_heads, size(keys.n_heads, keys.default_n_heads, 1024));
    const std::uint32_t n_kv_heads =
        keys.default_n_kv_heads == 0 ? s.n_heads : keys.default_n_kv_heads;
    KVASIR_TRY(s.n_kv_heads, size(keys.n_kv_heads, n_kv_heads, s.n_heads));
    KVASIR_TRY(s.context, size(keys.context, keys.default_context, 1U << 24U));
    KVASIR_TRY(const std::uint32_t ffn_dim,
               size(keys.ffn_dim, keys.ffn_per_dim * s.dim, 1U << 19U));
    KVASIR_TRY(const double norm_eps, config.number_or(keys.norm_eps, keys.default_norm_eps));
    const std::uint32_t head_dim =
        keys.default_head_dim == 0 ? s.dim / s.n_heads : keys.default_head_dim;
    KVASIR_TRY(s.head_dim, config.u32_or("head_dim", head_dim));
    if (s.head_dim > 1U << 16U) {
        return config.fields().corrupt(
            fmt::format("`head_dim`: {}, expected 1 to {}", s.head_dim, 1U << 16U));
    }
    out.set("block_count", s.n_layers, keys.n_layers);
    out.set("embedding_length", s.dim, keys.dim);
    out.set("feed_forward_length", ffn_dim, keys.ffn_dim);
    out.set("context_length", s.context, keys.context);
    out.set("attention.head_count", s.n_heads, keys.n_heads);
    out.set("attention.head_count_kv", s.n_kv_heads, keys.n_kv_heads);
    out.set("attention.key_length", s.head_dim, "head_dim");
    out.set("attention.value_length", s.head_dim, "head_dim");
    out.set(keys.gguf_norm_eps, norm_eps, keys.norm_eps);
    return s;
}

Result<> map_window(const HfConfig& config, HfMapping& out, const HfSizes& sizes,
                    bool used_by_default) {
    KVASIR_TRY(const auto window, config.find_u32("sliding_window"));
    KVASIR_TRY(const bool is_used, config.bool_or("use_sliding_window", used_by_default));
    if (!window || !is_used) return {};
    out.set("attention.sliding_window", *window, "sliding_window");
    if (config.has("layer_types")) {
        KVASIR_TRY(const auto* types, config.fields().get_array("layer_types", sizes.n_layers));
        std::vector<std::int64_t> are_local;
        for (const boost::json::value& type : *types) {
            const auto* name = type.if_string();
            const bool is_local = name != nullptr && *name == "sliding_attention";
            if (!is_local && (name == nullptr || *name != "full_attention")) {
                return config.fields().unsupported(
                    "`layer_types` holds more than sliding_attention and full_attention");
            }
            are_local.push_back(is_local ? 1 : 0);
        }
        out.set("attention.sliding_window_pattern", std::move(are_local), "layer_types");
        return {};
    }
    // Qwen: the layers from here on.
    KVASIR_TRY(const auto first, config.find_u32("max_window_layers"));
    if (!first) return {};
    std::vector<std::int64_t> are_local(sizes.n_layers);
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) are_local[i] = i >= *first ? 1 : 0;
    out.set("attention.sliding_window_pattern", std::move(are_local), "max_window_layers");
    return {};
}

Result<> map_output(const HfConfig& config, HfMapping& out, bool tied_by_default,
                    const std::string& part) {
    KVASIR_TRY(const bool is_tied, config.bool_or("tie_word_embeddings", tied_by_default));
    if (is_tied) {
        out.ignored.push_back(part);
    } else {
        out.tensor("output.weight", part);
    }
    return {};
}

}  // namespace kvasir
