// map_rope: config.json's rope_scaling (or, as later versions write it, rope_parameters) to GGUF's
// keys and factors.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numbers>

#include "daemon/model/hf/hf_mapping.hpp"
#include "quant/model_source.hpp"

namespace kvasir {
namespace {

struct RopeConfig {
    const HfConfig& config;   // the model's
    const HfConfig& scaling;  // its object about scaling
    HfMapping& out;
    const HfSizes& sizes;
    std::uint32_t n_rot;
    double base;

    Error bad(std::string_view key, double found, std::string_view expected) const {
        return scaling.fields().corrupt(
            fmt::format("`{}` is {}, expected {}", key, found, expected));
    }
    Result<double> positive(std::string_view key, double otherwise) const {
        KVASIR_TRY(const double found, scaling.number_or(key, otherwise));
        if (!(found > 0)) return bad(key, found, "a positive number");
        return found;
    }
    /// Tokens the model was first trained with.
    Result<std::uint32_t> original_context() const {
        constexpr std::string_view kKey = "original_max_position_embeddings";
        const HfConfig& where = scaling.has(kKey) ? scaling : config;
        KVASIR_TRY(const std::uint32_t found, where.u32_or(kKey, sizes.context));
        if (found == 0) return bad(kKey, found, "at least 1");
        return found;
    }
    void set_original_context(std::uint32_t n) const {
        out.set("rope.scaling.original_context_length", n, "original_max_position_embeddings");
    }
};

Result<> map_linear(const RopeConfig& r) {
    KVASIR_TRY(const double factor, r.scaling.number("factor"));
    r.out.set("rope.scaling.type", std::string("linear"), "rope_type");
    r.out.set("rope.scaling.factor", factor, "factor");
    return {};
}

/// Slow channels are stretched by the factor, fast ones stay, those between are mixed.
/// Source: Llama 3.1's rope scaling, transformers/modeling_rope_utils.py, rope_type "llama3".
Result<> map_llama3(const RopeConfig& r) {
    KVASIR_TRY(const double factor, r.positive("factor", 8.0));
    KVASIR_TRY(const double low, r.positive("low_freq_factor", 1.0));
    KVASIR_TRY(const double high, r.positive("high_freq_factor", 4.0));
    KVASIR_TRY(const std::uint32_t original, r.original_context());
    if (!(high > low)) return r.bad("high_freq_factor", high, fmt::format("more than {}", low));
    std::vector<float>& factors = r.out.made["rope_freqs.weight"];
    for (std::uint32_t i = 0; i < r.n_rot / 2; ++i) {
        const double wavelength = 2 * std::numbers::pi * std::pow(r.base, 2.0 * i / r.n_rot);
        const double turns = original / wavelength;
        const double share = std::clamp((turns - low) / (high - low), 0.0, 1.0);
        factors.push_back(static_cast<float>(1 / (share + (1 - share) / factor)));
    }
    return {};
}

double yarn_amplitude(double factor, double scale) {
    return factor > 1 ? 0.1 * scale * std::log(factor) + 1 : 1;
}

Result<> map_yarn(const RopeConfig& r) {
    KVASIR_TRY(const double factor, r.positive("factor", 1.0));
    KVASIR_TRY(const double fast, r.positive("beta_fast", 32.0));
    KVASIR_TRY(const double slow, r.positive("beta_slow", 1.0));
    KVASIR_TRY(const double scale, r.scaling.number_or("mscale", 0));
    KVASIR_TRY(const double scale_all, r.scaling.number_or("mscale_all_dim", 0));
    KVASIR_TRY(const std::uint32_t original, r.original_context());
    KVASIR_TRY_VOID(r.scaling.expect_bool("truncate", true, true));
    const double usual = yarn_amplitude(factor, 1);
    const double otherwise = scale != 0 && scale_all != 0
                                 ? yarn_amplitude(factor, scale) / yarn_amplitude(factor, scale_all)
                                 : usual;
    KVASIR_TRY(const double amplitude, r.positive("attention_factor", otherwise));
    r.out.set("rope.scaling.type", std::string("yarn"), "rope_type");
    r.out.set("rope.scaling.factor", factor, "factor");
    r.out.set("rope.scaling.yarn_beta_fast", fast, "beta_fast");
    r.out.set("rope.scaling.yarn_beta_slow", slow, "beta_slow");
    r.out.set("rope.scaling.attn_factor", amplitude / usual, "attention_factor");
    r.set_original_context(original);
    return {};
}

Result<> map_longrope(const RopeConfig& r) {
    KVASIR_TRY(const std::uint32_t original, r.original_context());
    for (const char* length : {"short", "long"}) {
        const std::string key = fmt::format("{}_factor", length);
        KVASIR_TRY(const auto factors, r.scaling.numbers(key, 1024));
        r.out.made[fmt::format("rope_factors_{}.weight", length)] =
            std::vector<float>(factors.begin(), factors.end());
    }
    const double stretch = static_cast<double>(r.sizes.context) / original;
    const double otherwise =
        stretch > 1 && original > 1 ? std::sqrt(1 + std::log(stretch) / std::log(original)) : 1;
    KVASIR_TRY(const double amplitude, r.positive("attention_factor", otherwise));
    r.out.set("rope.scaling.type", std::string("longrope"), "rope_type");
    r.out.set("rope.scaling.attn_factor", amplitude, "attention_factor");
    r.set_original_context(original);
    return {};
}

Result<> map_scaling(const RopeConfig& r) {
    KVASIR_TRY(const std::string_view old_type, r.scaling.string_or("type", "default"));
    KVASIR_TRY(const std::string_view type, r.scaling.string_or("rope_type", old_type));
    if (type == "default") return {};
    if (type == "linear") return map_linear(r);
    if (type == "llama3") return map_llama3(r);
    if (type == "yarn") return map_yarn(r);
    if (type == "longrope" || type == "su") return map_longrope(r);
    return r.scaling.fields().unsupported(fmt::format(
        "`rope_type` is {}, expected default, linear, llama3, yarn or longrope", printable(type)));
}

}  // namespace

Result<> map_rope(const HfConfig& config, HfMapping& out, const HfSizes& sizes,
                  double default_base) {
    KVASIR_TRY(auto parameters, config.find_object("rope_parameters"));
    if (parameters && parameters->has("full_attention")) {  // a rule for each kind of layer
        KVASIR_TRY(parameters, parameters->find_object("full_attention"));
    }
    KVASIR_TRY(const auto old_scaling, config.find_object("rope_scaling"));
    const HfConfig& scaling = parameters ? *parameters : old_scaling ? *old_scaling : config;
    const auto number = [&](std::string_view key, double otherwise) {
        const bool is_inside = parameters && parameters->has(key);
        return is_inside ? parameters->number(key) : config.number_or(key, otherwise);
    };
    KVASIR_TRY(const double base, number("rope_theta", default_base));
    KVASIR_TRY(const double share, number("partial_rotary_factor", 1.0));
    if (!(base > 0) || !(share > 0) || share > 1) {
        return config.fields().corrupt(
            fmt::format("`rope_theta` is {} and `partial_rotary_factor` {}, expected a positive "
                        "number and 0 to 1",
                        base, share));
    }
    const auto n_rot = static_cast<std::uint32_t>(sizes.head_dim * share);
    out.set("rope.freq_base", base, "rope_theta");
    out.set("rope.dimension_count", n_rot, "partial_rotary_factor");
    if (!parameters && !old_scaling) return {};
    return map_scaling({config, scaling, out, sizes, n_rot, base});
}

}  // namespace kvasir
