// Llama and what shares its tensors' names: Mistral, Mixtral, Qwen 2, Qwen 3, Phi-3.
#include <algorithm>
#include <fmt/format.h>

#include "daemon/model/hf/hf_families.hpp"
#include "vk_kernels/shared/experts.h"

namespace kvasir {
namespace {

/// What differs between the families below.
struct Rules {
    const char* architecture;
    HfLayout::Kind qk = HfLayout::Kind::as_is;
    bool has_qkv_bias = false;
    bool has_qk_norm = false;
    bool is_fused = false;  // q, k, v in one tensor, and gate and up
    bool uses_window = true;
    HfSizeKeys keys = {};
};

std::string blk(std::uint32_t i) {
    return fmt::format("blk.{}.", i);
}
std::string layer(std::uint32_t i) {
    return fmt::format("model.layers.{}.", i);
}

void map_qkv(HfMapping& out, const HfSizes& s, const Rules& rules, std::uint32_t i) {
    const std::string to = blk(i) + "attn_";
    const std::string from = layer(i) + "self_attn.";
    if (rules.is_fused) return out.tensor(to + "qkv.weight", from + "qkv_proj.weight");
    const HfLayout q{rules.qk, s.n_heads};
    const HfLayout k{rules.qk, s.n_kv_heads};
    out.tensor(to + "q.weight", from + "q_proj.weight", q);
    out.tensor(to + "k.weight", from + "k_proj.weight", k);
    out.tensor(to + "v.weight", from + "v_proj.weight");
    if (rules.has_qkv_bias) {
        out.tensor(to + "q.bias", from + "q_proj.bias", q);
        out.tensor(to + "k.bias", from + "k_proj.bias", k);
        out.tensor(to + "v.bias", from + "v_proj.bias");
    }
    if (rules.has_qk_norm) {
        out.tensor(to + "q_norm.weight", from + "q_norm.weight");
        out.tensor(to + "k_norm.weight", from + "k_norm.weight");
    }
}

void map_feed_forward(HfMapping& out, const Rules& rules, std::uint32_t i) {
    const std::string to = blk(i) + "ffn_";
    const std::string from = layer(i) + "mlp.";
    if (rules.is_fused) {
        out.tensor(to + "up.weight", from + "gate_up_proj.weight");
    } else {
        out.tensor(to + "gate.weight", from + "gate_proj.weight");
        out.tensor(to + "up.weight", from + "up_proj.weight");
    }
    out.tensor(to + "down.weight", from + "down_proj.weight");
}

/// Sizes, rope, output, and each layer's norms and attention: all but feed-forwards.
Result<HfSizes> map_attention(const HfConfig& config, HfMapping& out, const Rules& rules) {
    out.architecture = rules.architecture;
    out.prefixes = {"model."};
    out.ignored = {"rotary_emb.inv_freq"};  // rope's frequencies, computed
    KVASIR_TRY_VOID(config.expect_string("hidden_act", "silu", {"silu", "swish"}));
    KVASIR_TRY(const HfSizes sizes, map_sizes(config, out, rules.keys));
    KVASIR_TRY_VOID(map_rope(config, out, sizes));
    KVASIR_TRY_VOID(map_window(config, out, sizes, rules.uses_window));
    out.tensor("token_embd.weight", "model.embed_tokens.weight");
    out.tensor("output_norm.weight", "model.norm.weight");
    KVASIR_TRY_VOID(map_output(config, out, false));
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        out.tensor(blk(i) + "attn_norm.weight", layer(i) + "input_layernorm.weight");
        map_qkv(out, sizes, rules, i);
        out.tensor(blk(i) + "attn_output.weight", layer(i) + "self_attn.o_proj.weight");
        out.tensor(blk(i) + "ffn_norm.weight", layer(i) + "post_attention_layernorm.weight");
    }
    return sizes;
}

Result<> map_dense(const HfConfig& config, HfMapping& out, const Rules& rules) {
    KVASIR_TRY(const HfSizes sizes, map_attention(config, out, rules));
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) map_feed_forward(out, rules, i);
    return {};
}

/// What a mixture's directory calls its parts.
struct ExpertNames {
    std::string_view n_experts;
    std::string_view block;  // "block_sparse_moe"
    std::string_view gate;
    std::string_view up;
    std::string_view down;
};

Result<std::uint32_t> map_expert_counts(const HfConfig& config, HfMapping& out,
                                        const ExpertNames& names) {
    KVASIR_TRY(const std::uint32_t n_experts, config.u32(names.n_experts));
    KVASIR_TRY(const std::uint32_t n_used, config.u32("num_experts_per_tok"));
    if (n_experts == 0 || n_experts > shared::kMaxExperts) {
        return config.fields().corrupt(fmt::format("`{}`: {}, expected 1 to {}", names.n_experts,
                                                   n_experts, shared::kMaxExperts));
    }
    out.set("expert_count", n_experts, names.n_experts);
    out.set("expert_used_count", n_used, "num_experts_per_tok");
    return n_experts;
}

void map_experts(HfMapping& out, const ExpertNames& names, std::uint32_t n_experts,
                 std::uint32_t i) {
    const std::string from = fmt::format("{}{}.", layer(i), names.block);
    const auto parts = [&](std::string_view part) {
        std::vector<std::string> all;
        for (std::uint32_t e = 0; e < n_experts; ++e)
            all.push_back(fmt::format("{}experts.{}.{}.weight", from, e, part));
        return all;
    };
    out.tensor(blk(i) + "ffn_gate_inp.weight", from + "gate.weight");
    out.stack(blk(i) + "ffn_gate_exps.weight", parts(names.gate));
    out.stack(blk(i) + "ffn_up_exps.weight", parts(names.up));
    out.stack(blk(i) + "ffn_down_exps.weight", parts(names.down));
}

}  // namespace

// GGUF has llama's queries and keys in neighbouring pairs; the families below keep their halves.
Result<> map_llama(const HfConfig& config, HfMapping& out) {
    KVASIR_TRY_VOID(config.expect_bool("attention_bias", false, false));
    return map_dense(config, out, {.architecture = "llama", .qk = HfLayout::Kind::halves});
}

Result<> map_mixtral(const HfConfig& config, HfMapping& out) {
    constexpr ExpertNames kNames{"num_local_experts", "block_sparse_moe", "w1", "w3", "w2"};
    KVASIR_TRY(const HfSizes sizes, map_attention(config, out,
                                                  {.architecture = "llama",
                                                   .qk = HfLayout::Kind::halves,
                                                   .keys = {.default_norm_eps = 1e-5}}));
    KVASIR_TRY(const std::uint32_t n_experts, map_expert_counts(config, out, kNames));
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) map_experts(out, kNames, n_experts, i);
    return {};
}

Result<> map_qwen2(const HfConfig& config, HfMapping& out) {
    return map_dense(config, out,
                     {.architecture = "qwen2", .has_qkv_bias = true, .uses_window = false});
}

Result<> map_qwen3(const HfConfig& config, HfMapping& out) {
    return map_dense(config, out,
                     {.architecture = "qwen3",
                      .has_qk_norm = true,
                      .uses_window = false,
                      .keys = {.default_head_dim = 128}});
}

/// Layers of mlp_only_layers, and those that decoder_sparse_step passes over, have no experts.
Result<> map_qwen3_moe(const HfConfig& config, HfMapping& out) {
    constexpr ExpertNames kNames{"num_experts", "mlp", "gate_proj", "up_proj", "down_proj"};
    const Rules rules{.architecture = "qwen3moe", .has_qk_norm = true, .uses_window = false};
    KVASIR_TRY(const HfSizes sizes, map_attention(config, out, rules));
    KVASIR_TRY(const std::uint32_t n_experts, map_expert_counts(config, out, kNames));
    KVASIR_TRY_VOID(config.expect_bool("norm_topk_prob", false, true));
    KVASIR_TRY(const std::uint32_t ffn_dim, config.u32("moe_intermediate_size"));
    KVASIR_TRY(const std::uint32_t step, config.u32_or("decoder_sparse_step", 1));
    std::vector<double> dense;
    if (config.has("mlp_only_layers")) {
        KVASIR_TRY(dense, config.numbers("mlp_only_layers", sizes.n_layers));
    }
    out.set("expert_feed_forward_length", ffn_dim, "moe_intermediate_size");
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        const bool is_dense = std::find(dense.begin(), dense.end(), i) != dense.end();
        if (is_dense || step == 0 || (i + 1) % step != 0) {
            map_feed_forward(out, rules, i);
        } else {
            map_experts(out, kNames, n_experts, i);
        }
    }
    return {};
}

Result<> map_phi3(const HfConfig& config, HfMapping& out) {
    return map_dense(
        config, out,
        {.architecture = "phi3", .is_fused = true, .keys = {.default_norm_eps = 1e-5}});
}

}  // namespace kvasir
