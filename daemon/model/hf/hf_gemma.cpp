// Gemma, Gemma 2, Gemma 3 (the text part where there is more): norms whose weights lack the one
// that is added to them.
#include <cmath>
#include <fmt/format.h>

#include "daemon/model/hf/hf_families.hpp"

namespace kvasir {
namespace {

constexpr HfLayout kNorm{HfLayout::Kind::minus_one};

struct Rules {
    const char* architecture;
    bool has_branch_norms = false;  // behind each half
    bool has_qk_norm = false;
    HfSizeKeys keys;
};

void map_layer(HfMapping& out, const Rules& rules, std::uint32_t i) {
    const std::string to = fmt::format("blk.{}.", i);
    const std::string from = fmt::format("model.layers.{}.", i);
    out.tensor(to + "attn_norm.weight", from + "input_layernorm.weight", kNorm);
    for (const char* part : {"q", "k", "v"}) {
        out.tensor(fmt::format("{}attn_{}.weight", to, part),
                   fmt::format("{}self_attn.{}_proj.weight", from, part));
    }
    if (rules.has_qk_norm) {
        out.tensor(to + "attn_q_norm.weight", from + "self_attn.q_norm.weight", kNorm);
        out.tensor(to + "attn_k_norm.weight", from + "self_attn.k_norm.weight", kNorm);
    }
    out.tensor(to + "attn_output.weight", from + "self_attn.o_proj.weight");
    if (rules.has_branch_norms) {
        out.tensor(to + "post_attention_norm.weight", from + "post_attention_layernorm.weight",
                   kNorm);
        out.tensor(to + "ffn_norm.weight", from + "pre_feedforward_layernorm.weight", kNorm);
        out.tensor(to + "post_ffw_norm.weight", from + "post_feedforward_layernorm.weight", kNorm);
    } else {
        out.tensor(to + "ffn_norm.weight", from + "post_attention_layernorm.weight", kNorm);
    }
    out.tensor(to + "ffn_gate.weight", from + "mlp.gate_proj.weight");
    out.tensor(to + "ffn_up.weight", from + "mlp.up_proj.weight");
    out.tensor(to + "ffn_down.weight", from + "mlp.down_proj.weight");
}

Result<HfSizes> map_any(const HfConfig& config, HfMapping& out, const Rules& rules,
                        double default_base) {
    out.architecture = rules.architecture;
    out.prefixes = {"model.", "language_model."};
    out.ignored = {"rotary_emb.inv_freq"};
    // Not hidden_act: Gemma's files said "gelu" there and meant the approximation.
    KVASIR_TRY_VOID(
        config.expect_string("hidden_activation", "gelu_pytorch_tanh", {"gelu_pytorch_tanh"}));
    KVASIR_TRY_VOID(config.expect_bool("attention_bias", false, false));
    KVASIR_TRY(const HfSizes sizes, map_sizes(config, out, rules.keys));
    KVASIR_TRY_VOID(map_rope(config, out, sizes, default_base));
    out.tensor("token_embd.weight", "model.embed_tokens.weight");
    out.tensor("output_norm.weight", "model.norm.weight", kNorm);
    KVASIR_TRY_VOID(map_output(config, out, true));
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) map_layer(out, rules, i);
    return sizes;
}

/// attention.scale: of query_pre_attn_scalar.
Result<> map_score_scale(const HfConfig& config, HfMapping& out) {
    KVASIR_TRY(const double scalar, config.number_or("query_pre_attn_scalar", 256));
    if (!(scalar > 0)) {
        return config.fields().corrupt(
            fmt::format("`query_pre_attn_scalar` is {}, expected a positive number", scalar));
    }
    out.set("attention.scale", 1 / std::sqrt(scalar), "query_pre_attn_scalar");
    return {};
}

/// Of layers with a window. Later versions: rope_parameters.sliding_attention.rope_theta.
Result<double> read_local_base(const HfConfig& config) {
    KVASIR_TRY(const auto parameters, config.find_object("rope_parameters"));
    if (parameters && parameters->has("sliding_attention")) {
        KVASIR_TRY(const auto local, parameters->find_object("sliding_attention"));
        return local->number_or("rope_theta", 10000);
    }
    return config.number_or("rope_local_base_freq", 10000);
}

/// null: none; absent: the class's default.
Result<> map_cap(const HfConfig& config, HfMapping& out, std::string_view key, double otherwise) {
    const bool is_null = config.fields().object().contains(key) && !config.has(key);
    KVASIR_TRY(const double cap, config.number_or(key, is_null ? 0 : otherwise));
    out.set(key, cap, key);
    return {};
}

}  // namespace

Result<> map_gemma(const HfConfig& config, HfMapping& out) {
    const Rules rules{.architecture = "gemma",
                      .keys = {.default_head_dim = 256, .default_context = 8192}};
    KVASIR_TRY(const HfSizes sizes, map_any(config, out, rules, 10000));
    (void)sizes;
    return {};
}

Result<> map_gemma2(const HfConfig& config, HfMapping& out) {
    const Rules rules{.architecture = "gemma2",
                      .has_branch_norms = true,
                      .keys = {.default_head_dim = 256, .default_context = 8192}};
    KVASIR_TRY(const HfSizes sizes, map_any(config, out, rules, 10000));
    KVASIR_TRY_VOID(map_window(config, out, sizes));
    KVASIR_TRY_VOID(map_cap(config, out, "attn_logit_softcapping", 50));
    KVASIR_TRY_VOID(map_cap(config, out, "final_logit_softcapping", 30));
    return map_score_scale(config, out);
}

Result<> map_gemma3(const HfConfig& config, HfMapping& out) {
    const Rules rules{.architecture = "gemma3",
                      .has_branch_norms = true,
                      .has_qk_norm = true,
                      .keys = {.default_n_heads = 8,
                               .default_n_kv_heads = 4,
                               .default_head_dim = 256,
                               .default_context = 131072}};
    KVASIR_TRY(const HfSizes sizes, map_any(config, out, rules, 1e6));
    out.prefixes = {"language_model.", "model."};
    out.ignored.insert(out.ignored.end(), {"vision_tower.", "multi_modal_projector."});
    KVASIR_TRY_VOID(map_window(config, out, sizes));
    KVASIR_TRY(const auto period, config.find_u32("sliding_window_pattern"));
    if (period && !config.has("layer_types")) {
        if (*period == 0)
            return config.fields().corrupt("`sliding_window_pattern` is 0, expected at least 1");
        std::vector<std::int64_t> are_local(sizes.n_layers);
        for (std::uint32_t i = 0; i < sizes.n_layers; ++i)
            are_local[i] = (i + 1) % *period != 0 ? 1 : 0;
        out.set("attention.sliding_window_pattern", std::move(are_local), "sliding_window_pattern");
    }
    KVASIR_TRY(const double local_base, read_local_base(config));
    out.set("rope.freq_base_swa", local_base, "rope_local_base_freq");
    KVASIR_TRY_VOID(map_cap(config, out, "attn_logit_softcapping", 0));
    KVASIR_TRY_VOID(map_cap(config, out, "final_logit_softcapping", 0));
    return map_score_scale(config, out);
}

}  // namespace kvasir
