// config.json to GGUF's keys: scaling of rope, windows, layers of kinds; what contradicts itself.
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "daemon/model/hf/hf_mapping.hpp"

namespace kvasir {
namespace {

namespace json = boost::json;
constexpr HfSizes kSizes{
    .n_layers = 4, .dim = 64, .n_heads = 2, .n_kv_heads = 2, .head_dim = 32, .context = 131072};

/// What a family's part makes of a config; an error's message where it refuses.
template <class Part>
struct Mapped {
    Mapped(const char* text, Part part) : document(json::parse(text)) {
        out.architecture = "a";
        const HfConfig config(JsonMembers::create(document, "config.json").value());
        const auto done = part(config, out);
        if (done.has_error()) error = done.error().message;
    }
    template <class T>
    T get(const std::string& key) const {
        const auto found = out.keys.find("a." + key);
        BOOST_TEST_REQUIRE((found != out.keys.end()), key << " is set");
        return std::get<T>(found->second.value);
    }
    bool has(const std::string& key) const { return out.keys.contains("a." + key); }

    json::value document;
    HfMapping out;
    std::string error;
};

auto rope(const char* text) {
    return Mapped(
        text, [](const HfConfig& config, HfMapping& out) { return map_rope(config, out, kSizes); });
}

auto window(const char* text) {
    return Mapped(text, [](const HfConfig& config, HfMapping& out) {
        return map_window(config, out, kSizes);
    });
}

auto gpt_neo(const std::string& attention_types) {
    const std::string text = R"({"num_layers": 4, "hidden_size": 64, "num_heads": 2,
        "max_position_embeddings": 128, "window_size": 16, "attention_types": )" +
                             attention_types + "}";
    return Mapped(text.c_str(), find_hf_family("gpt_neo").value()->map);
}

using Flags = std::vector<std::int64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(hf_mapping)

BOOST_AUTO_TEST_CASE(plain_and_partial_rope) {
    const auto plain = rope("{}");
    BOOST_TEST(plain.get<double>("rope.freq_base") == 10000.0);
    BOOST_TEST(plain.get<std::uint32_t>("rope.dimension_count") == 32U);
    BOOST_TEST(!plain.has("rope.scaling.type"));
    const auto partial = rope(R"({"rope_theta": 500000, "partial_rotary_factor": 0.75,
                                  "rope_scaling": {"rope_type": "default"}})");
    BOOST_TEST(partial.get<double>("rope.freq_base") == 500000.0);
    BOOST_TEST(partial.get<std::uint32_t>("rope.dimension_count") == 24U);
    BOOST_TEST(!partial.has("rope.scaling.type"));
}

BOOST_AUTO_TEST_CASE(yarn_sharpens_attention_by_what_is_given_or_follows) {
    const double usual = 0.1 * std::log(4.0) + 1;
    const auto plain = rope(R"({"rope_scaling": {"type": "yarn", "factor": 4,
                                "original_max_position_embeddings": 32768}})");
    BOOST_TEST(plain.get<std::string>("rope.scaling.type") == "yarn");
    BOOST_TEST(plain.get<double>("rope.scaling.factor") == 4.0);
    BOOST_TEST(plain.get<double>("rope.scaling.attn_factor") == 1.0);
    BOOST_TEST(plain.get<std::uint32_t>("rope.scaling.original_context_length") == 32768U);
    // The engine multiplies by the usual amplitude.
    const auto given = rope(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4,
                                "attention_factor": 0.5, "beta_fast": 16, "beta_slow": 2}})");
    BOOST_TEST(std::abs(given.get<double>("rope.scaling.attn_factor") * usual - 0.5) < 1e-12);
    BOOST_TEST(given.get<double>("rope.scaling.yarn_beta_fast") == 16.0);
    BOOST_TEST(given.get<double>("rope.scaling.yarn_beta_slow") == 2.0);
    const auto scaled = rope(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4,
                                 "mscale": 2, "mscale_all_dim": 0.5}})");
    const double amplitude = (0.2 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1);
    BOOST_TEST(std::abs(scaled.get<double>("rope.scaling.attn_factor") * usual - amplitude) <
               1e-12);
}

BOOST_AUTO_TEST_CASE(longrope_has_factors_and_an_amplitude_of_the_stretch) {
    const auto mapped = rope(R"({"original_max_position_embeddings": 4096, "rope_scaling":
        {"type": "longrope", "short_factor": [1, 1.5], "long_factor": [2, 64.5]}})");
    BOOST_TEST(mapped.error == "");
    BOOST_TEST(mapped.get<std::string>("rope.scaling.type") == "longrope");
    BOOST_TEST(mapped.get<std::uint32_t>("rope.scaling.original_context_length") == 4096U);
    const double expected = std::sqrt(1 + std::log(32.0) / std::log(4096.0));
    BOOST_TEST(std::abs(mapped.get<double>("rope.scaling.attn_factor") - expected) < 1e-12);
    BOOST_TEST(mapped.out.made.at("rope_factors_short.weight") == (std::vector<float>{1, 1.5F}),
               boost::test_tools::per_element());
    BOOST_TEST(mapped.out.made.at("rope_factors_long.weight") == (std::vector<float>{2, 64.5F}),
               boost::test_tools::per_element());
}

/// Llama 3.1: 32 channels at base 10,000 and 8192 tokens; channel i turns 8192 / (2 pi
/// 10000^(i/16)) times, stays over 4 turns and is stretched below 1.
BOOST_AUTO_TEST_CASE(llama3_stretches_slow_channels) {
    const auto mapped = rope(R"({"rope_scaling": {"rope_type": "llama3", "factor": 32,
        "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}})");
    const auto& factors = mapped.out.made.at("rope_freqs.weight");
    BOOST_TEST_REQUIRE(factors.size() == 16U);
    for (std::size_t i = 0; i < factors.size(); ++i) {
        const double turns = 8192 / (2 * M_PI * std::pow(10000.0, static_cast<double>(i) / 16));
        double expected = 1;
        if (turns < 1) expected = 32;
        if (turns >= 1 && turns < 4) expected = 1 / ((turns - 1) / 3 + (1 - (turns - 1) / 3) / 32);
        BOOST_TEST(std::abs(factors[i] / expected - 1) < 1e-6, "channel " << i);
    }
    BOOST_TEST(factors.front() == 1.0F);
    BOOST_TEST(factors.back() == 32.0F);
}

BOOST_AUTO_TEST_CASE(rope_that_contradicts_itself_is_refused_by_name) {
    const struct {
        const char* config;
        const char* named;
    } cases[] = {
        {R"({"rope_theta": 0})", "rope_theta"},
        {R"({"rope_theta": "x"})", "rope_theta"},
        {R"({"partial_rotary_factor": 2})", "partial_rotary_factor"},
        {R"({"rope_scaling": []})", "rope_scaling"},
        {R"({"rope_scaling": {"type": "dynamic"}})", "dynamic"},
        {R"({"rope_scaling": {"rope_type": "linear"}})", "factor"},
        {R"({"rope_scaling": {"rope_type": "yarn", "factor": 0}})", "factor"},
        {R"({"rope_scaling": {"rope_type": "yarn", "factor": 4, "truncate": false}})", "truncate"},
        {R"({"rope_scaling": {"rope_type": "longrope", "short_factor": [1]}})", "long_factor"},
        {R"({"rope_scaling": {"rope_type": "longrope", "short_factor": ["1"]}})", "short_factor"},
        {R"({"rope_scaling": {"rope_type": "llama3", "low_freq_factor": 4}})", "high_freq_factor"},
        {R"({"rope_scaling": {"rope_type": "llama3", "original_max_position_embeddings": 0}})",
         "original_max_position_embeddings"},
    };
    for (const auto& [config, named] : cases) {
        const auto mapped = rope(config);
        BOOST_TEST(mapped.error.find(named) != std::string::npos,
                   config << ": \"" << mapped.error << "\" names " << named);
    }
}

BOOST_AUTO_TEST_CASE(windows_are_of_all_layers_or_of_those_that_are_named) {
    const auto all = window(R"({"sliding_window": 8})");
    BOOST_TEST(all.get<std::uint32_t>("attention.sliding_window") == 8U);
    BOOST_TEST(!all.has("attention.sliding_window_pattern"));
    BOOST_TEST(!window(R"({"sliding_window": null})").has("attention.sliding_window"));
    BOOST_TEST(!window(R"({"sliding_window": 8, "use_sliding_window": false})")
                    .has("attention.sliding_window"));
    const auto upper = window(R"({"sliding_window": 8, "max_window_layers": 3})");
    BOOST_TEST(upper.get<Flags>("attention.sliding_window_pattern") == (Flags{0, 0, 0, 1}),
               boost::test_tools::per_element());
    const auto named = window(R"({"sliding_window": 8, "layer_types": ["full_attention",
        "sliding_attention", "sliding_attention", "full_attention"]})");
    BOOST_TEST(named.get<Flags>("attention.sliding_window_pattern") == (Flags{0, 1, 1, 0}),
               boost::test_tools::per_element());
    const auto strange = window(R"({"sliding_window": 8, "layer_types": ["chunked_attention"]})");
    BOOST_TEST(strange.error.find("layer_types") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(attention_types_are_written_out) {
    const auto mapped = gpt_neo(R"([[["global", "local"], 1], [["local"], 2]])");
    BOOST_TEST(mapped.error == "");
    const auto found = mapped.out.keys.find("gptneo.attention.sliding_window_pattern");
    BOOST_TEST_REQUIRE((found != mapped.out.keys.end()));
    BOOST_TEST(std::get<Flags>(found->second.value) == (Flags{0, 1, 1, 1}),
               boost::test_tools::per_element());
    for (const char* bad :
         {"null", "1", "[]", "[1]", R"([["global", 4]])", R"([[["global"], 3]])",
          R"([[["global"], 5]])", R"([[["global"], -1]])", R"([[["global"], 4294967296]])",
          R"([[["global", "sparse"], 2]])", R"([[[1], 4]])", R"([[[], 4]])", R"([[["local"]]])"}) {
        const auto refused = gpt_neo(bad);
        BOOST_TEST(refused.error.find("attention_types") != std::string::npos, bad);
    }
}

BOOST_AUTO_TEST_CASE(a_window_of_nothing_is_refused) {
    const auto mapped =
        Mapped(R"({"num_layers": 1, "hidden_size": 64, "num_heads": 2, "window_size": 0,
                   "max_position_embeddings": 128, "attention_types": [[["local"], 1]]})",
               find_hf_family("gpt_neo").value()->map);
    BOOST_TEST(mapped.error.find("window_size") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
