// GPT-2, GPT-NeoX (Pythia), StarCoder2: LayerNorm, biases, a plain feed-forward.
#include <fmt/format.h>

#include "daemon/model/hf/hf_families.hpp"

namespace kvasir {
namespace {

std::string blk(std::uint32_t i, std::string_view part) {
    return fmt::format("blk.{}.{}", i, part);
}

}  // namespace

/// Matrices are stored transposed: as what inputs are multiplied with from the right.
Result<> map_gpt2(const HfConfig& config, HfMapping& out) {
    constexpr HfLayout kTransposed{HfLayout::Kind::transposed};
    out.architecture = "gpt2";
    out.prefixes = {"transformer."};
    out.ignored = {".attn.bias", ".attn.masked_bias"};  // causal masks
    KVASIR_TRY_VOID(config.expect_string("activation_function", "gelu_new",
                                         {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}));
    KVASIR_TRY_VOID(config.expect_bool("scale_attn_weights", true, true));
    KVASIR_TRY_VOID(config.expect_bool("scale_attn_by_inverse_layer_idx", false, false));
    KVASIR_TRY(const HfSizes sizes,
               map_sizes(config, out,
                         {.n_layers = "n_layer",
                          .dim = "n_embd",
                          .ffn_dim = "n_inner",
                          .n_heads = "n_head",
                          .n_kv_heads = "n_head",
                          .context = config.has("n_positions") ? "n_positions" : "n_ctx",
                          .norm_eps = "layer_norm_epsilon",
                          .gguf_norm_eps = "attention.layer_norm_epsilon",
                          .default_norm_eps = 1e-5,
                          .ffn_per_dim = 4}));
    out.tensor("token_embd.weight", "transformer.wte.weight");
    out.tensor("position_embd.weight", "transformer.wpe.weight");
    out.biased("output_norm", "transformer.ln_f");
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        const std::string from = fmt::format("transformer.h.{}.", i);
        const auto transposed = [&](std::string_view part, const std::string& name) {
            out.tensor(blk(i, part) + ".weight", from + name + ".weight", kTransposed);
            out.tensor(blk(i, part) + ".bias", from + name + ".bias");
        };
        out.biased(blk(i, "attn_norm"), from + "ln_1");
        transposed("attn_qkv", "attn.c_attn");
        transposed("attn_output", "attn.c_proj");
        out.biased(blk(i, "ffn_norm"), from + "ln_2");
        transposed("ffn_up", "mlp.c_fc");
        transposed("ffn_down", "mlp.c_proj");
    }
    return map_output(config, out, true);
}

/// Each head's queries, keys and values lie together.
Result<> map_gpt_neox(const HfConfig& config, HfMapping& out) {
    out.architecture = "gptneox";
    out.prefixes = {"gpt_neox."};
    out.ignored = {".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"};
    KVASIR_TRY_VOID(config.expect_string("hidden_act", "gelu", {"gelu"}));
    KVASIR_TRY(const HfSizes sizes, map_sizes(config, out,
                                              {.n_kv_heads = "num_attention_heads",
                                               .norm_eps = "layer_norm_eps",
                                               .gguf_norm_eps = "attention.layer_norm_epsilon",
                                               .default_norm_eps = 1e-5}));
    KVASIR_TRY(const double old_base, config.number_or("rotary_emb_base", 10000));
    KVASIR_TRY_VOID(map_rope(config, out, sizes, old_base));
    if (!config.has("partial_rotary_factor") && !config.has("rope_parameters")) {
        KVASIR_TRY(const double share, config.number_or("rotary_pct", 0.25));
        if (!(share > 0) || share > 1)
            return config.fields().corrupt(
                fmt::format("`rotary_pct` is {}, expected more than 0 and at most 1", share));
        out.set("rope.dimension_count", static_cast<std::uint32_t>(sizes.head_dim * share),
                "rotary_pct");
    }
    KVASIR_TRY(const bool is_parallel, config.bool_or("use_parallel_residual", true));
    out.set("use_parallel_residual", is_parallel, "use_parallel_residual");
    out.tensor("token_embd.weight", "gpt_neox.embed_in.weight");
    out.biased("output_norm", "gpt_neox.final_layer_norm");
    KVASIR_TRY_VOID(map_output(config, out, false, "embed_out.weight"));
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        const std::string from = fmt::format("gpt_neox.layers.{}.", i);
        out.biased(blk(i, "attn_norm"), from + "input_layernorm");
        out.biased(blk(i, "attn_qkv"), from + "attention.query_key_value",
                   {HfLayout::Kind::q_k_v_heads, sizes.n_heads});
        out.biased(blk(i, "attn_output"), from + "attention.dense");
        out.biased(blk(i, "ffn_norm"), from + "post_attention_layernorm");
        out.biased(blk(i, "ffn_up"), from + "mlp.dense_h_to_4h");
        out.biased(blk(i, "ffn_down"), from + "mlp.dense_4h_to_h");
    }
    return {};
}

Result<> map_starcoder2(const HfConfig& config, HfMapping& out) {
    out.architecture = "starcoder2";
    out.prefixes = {"model."};
    out.ignored = {"rotary_emb.inv_freq"};
    KVASIR_TRY_VOID(
        config.expect_string("hidden_act", "gelu_pytorch_tanh", {"gelu_pytorch_tanh", "gelu_new"}));
    KVASIR_TRY(const bool has_bias, config.bool_or("use_bias", true));
    KVASIR_TRY(const HfSizes sizes, map_sizes(config, out,
                                              {.norm_eps = "norm_epsilon",
                                               .gguf_norm_eps = "attention.layer_norm_epsilon",
                                               .default_norm_eps = 1e-5}));
    KVASIR_TRY_VOID(map_rope(config, out, sizes));
    KVASIR_TRY_VOID(map_window(config, out, sizes));
    out.tensor("token_embd.weight", "model.embed_tokens.weight");
    out.biased("output_norm", "model.norm");
    KVASIR_TRY_VOID(map_output(config, out, true));
    const auto matrix = [&](const std::string& to, const std::string& from) {
        if (has_bias) return out.biased(to, from);
        out.tensor(to + ".weight", from + ".weight");
    };
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        const std::string from = fmt::format("model.layers.{}.", i);
        out.biased(blk(i, "attn_norm"), from + "input_layernorm");
        matrix(blk(i, "attn_q"), from + "self_attn.q_proj");
        matrix(blk(i, "attn_k"), from + "self_attn.k_proj");
        matrix(blk(i, "attn_v"), from + "self_attn.v_proj");
        matrix(blk(i, "attn_output"), from + "self_attn.o_proj");
        out.biased(blk(i, "ffn_norm"), from + "post_attention_layernorm");
        matrix(blk(i, "ffn_up"), from + "mlp.c_fc");
        matrix(blk(i, "ffn_down"), from + "mlp.c_proj");
    }
    return {};
}

}  // namespace kvasir
