// Goldens of every family, written as the Hugging Face directories they would come from: the same
// logits, to the bit where undoing the conversion loses none.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "daemon/model/open_model.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/hf_names.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace json = boost::json;

json::object gemma_config(const char* model_type, const json::object& more = {}) {
    return with_keys(with_keys(kHfSizes, {{"model_type", model_type},
                                          {"head_dim", 32},
                                          {"hidden_activation", "gelu_pytorch_tanh"},
                                          {"rms_norm_eps", 1e-5}}),
                     more);
}

struct Case {
    std::string golden;
    json::object config;
    std::vector<HfRename> renames;
    bool same_bits = true;  // as from the GGUF file
    std::size_t n_shards = 0;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.golden << " as " << c.config.at("model_type").as_string() << " in "
               << c.n_shards << " shards";
}

const std::vector<Case> kCases = {
    {"arch/llama", llama_config(), kLlama},
    {"arch/llama", llama_config({{"tie_word_embeddings", false}}), kLlama, true, 3},
    {"arch/llama3-rope",
     llama_config({{"rope_theta", 500000.0},
                   {"rope_scaling",
                    {{"rope_type", "llama3"},
                     {"factor", 8.0},
                     {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0},
                     {"original_max_position_embeddings", 64}}}}),
     kLlama, false},
    {"arch/llama-linear", llama_config({{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}}),
     kLlama},
    {"arch/llama-yarn",
     llama_config(
         {{"rope_scaling",
           {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}}}),
     kLlama},
    {"arch/llama-yarn",
     llama_config({{"rope_theta", nullptr},
                   {"rope_parameters",
                    {{"rope_type", "yarn"},
                     {"rope_theta", 10000.0},
                     {"factor", 4.0},
                     {"original_max_position_embeddings", 128}}}}),
     kLlama},
    {"arch/mistral-swa", llama_config({{"model_type", "mistral"}, {"sliding_window", 33}}), kLlama},
    {"arch/mixtral",
     llama_config({{"model_type", "mixtral"},
                   {"sliding_window", nullptr},
                   {"num_local_experts", 4},
                   {"num_experts_per_tok", 2}}),
     kMixtral, true, 2},
    {"arch/qwen2",
     llama_config({{"model_type", "qwen2"},
                   {"rope_theta", 1000000.0},
                   {"use_sliding_window", false},
                   {"sliding_window", 17},
                   {"max_window_layers", 1},
                   {"tie_word_embeddings", true}}),
     kQwen2},
    {"arch/qwen3",
     llama_config({{"model_type", "qwen3"},
                   {"rope_theta", 1000000},
                   {"head_dim", 32},
                   {"tie_word_embeddings", true}}),
     kQwen3},
    {"arch/qwen3moe",
     llama_config({{"model_type", "qwen3_moe"},
                   {"rope_theta", 1000000.0},
                   {"head_dim", 32},
                   {"num_experts", 4},
                   {"num_experts_per_tok", 2},
                   {"moe_intermediate_size", 96},
                   {"decoder_sparse_step", 1},
                   {"mlp_only_layers", json::array{}},
                   {"norm_topk_prob", true}}),
     kQwen3Moe},
    {"arch/phi3",
     llama_config({{"model_type", "phi3"},
                   {"rope_scaling", nullptr},
                   {"original_max_position_embeddings", 512},
                   {"sliding_window", 2047}}),
     kPhi3},
    {"arch/gemma", gemma_config("gemma", {{"hidden_act", "gelu"}}), kGemma, false},
    {"arch/gemma2",
     gemma_config("gemma2", {{"sliding_window", 48},
                             {"query_pre_attn_scalar", 32},
                             {"attn_logit_softcapping", 50.0},
                             {"final_logit_softcapping", 30.0}}),
     kGemma2, false},
    {"arch/gemma3",
     gemma_config("gemma3_text", {{"num_hidden_layers", 7},
                                  {"rms_norm_eps", 1e-6},
                                  {"sliding_window", 40},
                                  {"query_pre_attn_scalar", 32},
                                  {"rope_theta", 1000000.0},
                                  {"rope_local_base_freq", 10000.0},
                                  {"sliding_window_pattern", 6}}),
     kGemma3, false, 5},
    {"arch/gemma3",
     gemma_config(
         "gemma3_text",
         {{"num_hidden_layers", 7},
          {"rms_norm_eps", 1e-6},
          {"sliding_window", 40},
          {"query_pre_attn_scalar", 32},
          {"layer_types",
           {"sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention",
            "sliding_attention", "full_attention", "sliding_attention"}},
          {"rope_parameters",
           {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 1000000.0}}},
            {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}}}}}),
     kGemma3, false},
    {"arch/gpt2",
     {{"model_type", "gpt2"},
      {"activation_function", "gelu_new"},
      {"n_layer", 2},
      {"n_embd", 64},
      {"n_head", 2},
      {"n_inner", 96},
      {"n_positions", 512},
      {"layer_norm_epsilon", 1e-5}},
     kGpt2},
    {"arch/gptneox",
     with_keys(kHfSizes, {{"model_type", "gpt_neox"},
                          {"hidden_act", "gelu"},
                          {"layer_norm_eps", 1e-5},
                          {"rotary_pct", 0.5},
                          {"rotary_emb_base", 10000},
                          {"use_parallel_residual", true},
                          {"tie_word_embeddings", false}}),
     kGptNeox},
    {"arch/starcoder2",
     with_keys(kHfSizes, {{"model_type", "starcoder2"},
                          {"hidden_act", "gelu_pytorch_tanh"},
                          {"norm_epsilon", 1e-5},
                          {"rope_theta", 10000},
                          {"use_bias", true},
                          {"sliding_window", nullptr},
                          {"tie_word_embeddings", false}}),
     kStarcoder2},
    {"quant/F16",
     llama_config({{"hidden_size", 256},
                   {"intermediate_size", 512},
                   {"num_hidden_layers", 1},
                   {"num_attention_heads", 4},
                   {"num_key_value_heads", 2}}),
     kLlama},
    {"quant/BF16",
     llama_config({{"hidden_size", 256},
                   {"intermediate_size", 512},
                   {"num_hidden_layers", 1},
                   {"num_attention_heads", 4},
                   {"num_key_value_heads", 2}}),
     kLlama},
};

HfBuilder as_directory(const Case& c, const std::filesystem::path& gguf) {
    const GgufFile file = GgufFile::open(gguf).value();
    HfBuilder directory;
    directory.config = c.config;
    directory.tensors = undo_conversion(file, c.renames);
    return directory;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hf_families)

BOOST_DATA_TEST_CASE(a_directory_computes_what_its_gguf_file_does,
                     boost::unit_test::data::make(kCases), c) {
    const Golden golden = read_golden(c.golden);
    const TempDir dir;
    as_directory(c, golden.model).write(dir.path(), c.n_shards);
    ModelRun run(dir.path(), "f32");
    const Rows rows = run.cold(golden.tokens, Plan{.chunk = 40});
    for (std::size_t i = 0; i < golden.positions.size(); ++i) {
        const double error = relative_l2(rows.at(golden.positions[i]), golden.row(i));
        BOOST_TEST(error <= 1e-3, c << ", position " << golden.positions[i] << ": " << error);
    }
    if (c.same_bits) {
        ModelRun from_file(golden.model, "f32");
        const std::string differs =
            difference(rows, from_file.cold(golden.tokens, Plan{.chunk = 40}));
        BOOST_TEST(differs == "");
    }
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

/// Every member of every family's config.json, in turn and whatever it holds.
BOOST_DATA_TEST_CASE(a_config_with_a_member_of_another_kind_is_refused_or_read,
                     boost::unit_test::data::make(kCases), c) {
    const std::vector<json::value> values = {
        nullptr, -1,     0,    3000000000U,   4294967295U,    1e300,
        0.5,     "text", true, json::array{}, json::object{}, json::array{1, "a", json::array{}}};
    const TempDir dir;
    HfBuilder directory = as_directory(c, read_golden(c.golden).model);
    directory.write(dir.path(), c.n_shards);
    std::size_t n_refused = 0;
    for (const auto& member : c.config) {
        for (const json::value& value : values) {
            json::object config = c.config;
            config[member.key()] = value;
            write_text(dir.path() / "config.json", json::serialize(config));
            auto opened = open_model(dir.path());
            if (!opened.has_error()) {
                const ModelSource& source = *opened->source;
                const auto architecture = source.get_string("general.architecture").value();
                const auto shape =
                    find_architecture(architecture).value()->read_shape(source, architecture, 0);
                if (!shape.has_error()) continue;
                opened = shape.error();
            }
            ++n_refused;
            BOOST_TEST_REQUIRE(!opened.error().message.empty());
        }
    }
    BOOST_TEST(n_refused > c.config.size() * 3);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
