// GPT-Neo: learned positions, LayerNorm, and queries, keys and values without biases; layers see
// all tokens or a window, as attention_types says.
#include <fmt/format.h>

#include "daemon/model/hf/hf_families.hpp"

namespace kvasir {
namespace {

/// [[["global", "local"], 6]]: global, local, six times over. (n_layers) 1: local.
Result<std::vector<std::int64_t>> read_attention_types(const HfConfig& config,
                                                       std::uint32_t n_layers) {
    const auto bad = [&] {
        return config.fields().corrupt(
            fmt::format("`attention_types`: expected pairs of a list of \"global\" and \"local\" "
                        "and how often it comes, {} layers in all",
                        n_layers));
    };
    KVASIR_TRY(const auto* groups, config.fields().get_array("attention_types", n_layers));
    std::vector<std::int64_t> are_local;
    for (const boost::json::value& group : *groups) {
        const auto* pair = group.if_array();
        if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_array()) return bad();
        const auto times = as_id((*pair)[1], std::size_t{n_layers} + 1);
        const boost::json::array& kinds = (*pair)[0].get_array();
        if (!times || kinds.size() > n_layers) return bad();
        for (std::uint32_t i = 0; i < *times; ++i) {
            for (const boost::json::value& kind : kinds) {
                const bool is_local = kind == "local";
                if ((!is_local && kind != "global") || are_local.size() == n_layers) return bad();
                are_local.push_back(is_local ? 1 : 0);
            }
        }
    }
    if (are_local.size() != n_layers) return bad();
    return are_local;
}

}  // namespace

Result<> map_gpt_neo(const HfConfig& config, HfMapping& out) {
    out.architecture = "gptneo";
    out.prefixes = {"transformer."};
    out.ignored = {".attn.attention.bias", ".attn.attention.masked_bias"};  // causal masks
    KVASIR_TRY_VOID(
        config.expect_string("activation_function", "gelu_new", {"gelu_new", "gelu_pytorch_tanh"}));
    KVASIR_TRY(const HfSizes sizes, map_sizes(config, out,
                                              {.n_layers = "num_layers",
                                               .n_heads = "num_heads",
                                               .n_kv_heads = "num_heads",
                                               .norm_eps = "layer_norm_epsilon",
                                               .gguf_norm_eps = "attention.layer_norm_epsilon",
                                               .default_norm_eps = 1e-5,
                                               .ffn_per_dim = 4}));
    KVASIR_TRY(const std::uint32_t window, config.u32_or("window_size", 256));
    if (window == 0) return config.fields().corrupt("`window_size` is 0, expected at least 1");
    KVASIR_TRY(auto are_local, read_attention_types(config, sizes.n_layers));
    out.set("attention.sliding_window", window, "window_size");
    out.set("attention.sliding_window_pattern", std::move(are_local), "attention_types");
    out.tensor("token_embd.weight", "transformer.wte.weight");
    out.tensor("position_embd.weight", "transformer.wpe.weight");
    for (std::uint32_t i = 0; i < sizes.n_layers; ++i) {
        const std::string to = fmt::format("blk.{}.", i);
        const std::string from = fmt::format("transformer.h.{}.", i);
        out.biased(to + "attn_norm", from + "ln_1");
        out.tensor(to + "attn_q.weight", from + "attn.attention.q_proj.weight");
        out.tensor(to + "attn_k.weight", from + "attn.attention.k_proj.weight");
        out.tensor(to + "attn_v.weight", from + "attn.attention.v_proj.weight");
        out.biased(to + "attn_output", from + "attn.attention.out_proj");
        out.biased(to + "ffn_norm", from + "ln_2");
        out.biased(to + "ffn_up", from + "mlp.c_fc");
        out.biased(to + "ffn_down", from + "mlp.c_proj");
    }
    out.biased("output_norm", "transformer.ln_f");
    return map_output(config, out, true);
}

}  // namespace kvasir
