// Goldens of every family, written as the Hugging Face directories they would come from: the same
// logits, to the bit where undoing the conversion loses none.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "tests/support/golden.hpp"
#include "tests/support/hf_from_gguf.hpp"
#include "tests/support/model_run.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace json = boost::json;

std::vector<HfRename> operator+(std::vector<HfRename> all, const std::vector<HfRename>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

// ---- names, and what the converter does ----

const std::vector<HfRename> kModelTop = {{"token_embd.weight", "model.embed_tokens.weight"},
                                         {"output_norm.weight", "model.norm.weight"},
                                         {"output.weight", "lm_head.weight"}};
const std::vector<HfRename> kNorms = {
    {"attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {"ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"}};
const std::vector<HfRename> kValueAndOutput = {
    {"attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {"attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"}};
const std::vector<HfRename> kPermuted = {
    {"attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", undo_q_pairs},
    {"attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", undo_k_pairs}};
const std::vector<HfRename> kPlain = {{"attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
                                      {"attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"}};
const std::vector<HfRename> kBiases = {{"attn_q.bias", "model.layers.{}.self_attn.q_proj.bias"},
                                       {"attn_k.bias", "model.layers.{}.self_attn.k_proj.bias"},
                                       {"attn_v.bias", "model.layers.{}.self_attn.v_proj.bias"}};
const std::vector<HfRename> kHeadNorms = {
    {"attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight"}};
const std::vector<HfRename> kSwiGlu = {{"ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
                                       {"ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
                                       {"ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"}};

const std::vector<HfRename> kBase = kModelTop + kNorms + kValueAndOutput;
const std::vector<HfRename> kLlama = kBase + kPermuted + kSwiGlu;
const std::vector<HfRename> kMixtral =
    kBase + kPermuted +
    std::vector<HfRename>{
        {"ffn_gate_inp.weight", "model.layers.{}.block_sparse_moe.gate.weight"},
        {"ffn_gate_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w1.weight"},
        {"ffn_up_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w3.weight"},
        {"ffn_down_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w2.weight"}};
const std::vector<HfRename> kQwen2 = kBase + kPlain + kBiases + kSwiGlu;
const std::vector<HfRename> kQwen3 = kBase + kPlain + kHeadNorms + kSwiGlu;
const std::vector<HfRename> kQwen3Moe =
    kBase + kPlain + kHeadNorms +
    std::vector<HfRename>{
        {"ffn_gate_inp.weight", "model.layers.{}.mlp.gate.weight"},
        {"ffn_gate_exps.weight", "model.layers.{}.mlp.experts.{e}.gate_proj.weight"},
        {"ffn_up_exps.weight", "model.layers.{}.mlp.experts.{e}.up_proj.weight"},
        {"ffn_down_exps.weight", "model.layers.{}.mlp.experts.{e}.down_proj.weight"}};
const std::vector<HfRename> kPhi3 =
    kBase + std::vector<HfRename>{{"attn_qkv.weight", "model.layers.{}.self_attn.qkv_proj.weight"},
                                  {"ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight"},
                                  {"ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"}};

const std::vector<HfRename> kGemmaTop = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight", undo_plus_one},
    {"attn_norm.weight", "model.layers.{}.input_layernorm.weight", undo_plus_one}};
const std::vector<HfRename> kGemma =
    kGemmaTop + kPlain + kValueAndOutput + kSwiGlu +
    std::vector<HfRename>{
        {"ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", undo_plus_one}};
const std::vector<HfRename> kGemma2 =
    kGemmaTop + kPlain + kValueAndOutput + kSwiGlu +
    std::vector<HfRename>{
        {"post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight",
         undo_plus_one},
        {"ffn_norm.weight", "model.layers.{}.pre_feedforward_layernorm.weight", undo_plus_one},
        {"post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight",
         undo_plus_one}};
const std::vector<HfRename> kGemma3 =
    kGemma2 + std::vector<HfRename>{
                  {"attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", undo_plus_one},
                  {"attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", undo_plus_one}};

/// `gguf`.weight and .bias.
std::vector<HfRename> both(const std::string& gguf, const std::string& name,
                           const HfUndo& undo_weight = {}, const HfUndo& undo_bias = {}) {
    return {{gguf + ".weight", name + ".weight", undo_weight},
            {gguf + ".bias", name + ".bias", undo_bias}};
}

/// As the hub has it: without "transformer.".
const std::vector<HfRename> kGpt2 = std::vector<HfRename>{{"token_embd.weight", "wte.weight"},
                                                          {"position_embd.weight", "wpe.weight"}} +
                                    both("output_norm", "ln_f") + both("attn_norm", "h.{}.ln_1") +
                                    both("ffn_norm", "h.{}.ln_2") +
                                    both("attn_qkv", "h.{}.attn.c_attn", undo_transpose) +
                                    both("attn_output", "h.{}.attn.c_proj", undo_transpose) +
                                    both("ffn_up", "h.{}.mlp.c_fc", undo_transpose) +
                                    both("ffn_down", "h.{}.mlp.c_proj", undo_transpose);
const std::vector<HfRename> kGptNeox =
    std::vector<HfRename>{{"token_embd.weight", "gpt_neox.embed_in.weight"},
                          {"output.weight", "embed_out.weight"}} +
    both("output_norm", "gpt_neox.final_layer_norm") +
    both("attn_norm", "gpt_neox.layers.{}.input_layernorm") +
    both("ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm") +
    both("attn_qkv", "gpt_neox.layers.{}.attention.query_key_value", undo_qkv, undo_qkv) +
    both("attn_output", "gpt_neox.layers.{}.attention.dense") +
    both("ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h") +
    both("ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h");
const std::vector<HfRename> kStarcoder2 =
    kModelTop + kNorms + kPlain + kBiases + kValueAndOutput +
    std::vector<HfRename>{{"output_norm.bias", "model.norm.bias"},
                          {"attn_norm.bias", "model.layers.{}.input_layernorm.bias"},
                          {"ffn_norm.bias", "model.layers.{}.post_attention_layernorm.bias"},
                          {"attn_output.bias", "model.layers.{}.self_attn.o_proj.bias"}} +
    both("ffn_up", "model.layers.{}.mlp.c_fc") + both("ffn_down", "model.layers.{}.mlp.c_proj");

// ---- config.json ----

const json::object kSizes = {
    {"hidden_size", 64},        {"intermediate_size", 96},  {"num_hidden_layers", 2},
    {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"max_position_embeddings", 512},
    {"vocab_size", 512},        {"bos_token_id", 509},      {"eos_token_id", 509}};
const json::object kRms = {{"hidden_act", "silu"}, {"rms_norm_eps", 1e-5}, {"rope_theta", 10000.0}};

json::object with(json::object config, const json::object& more) {
    for (const auto& member : more) config[member.key()] = member.value();
    return config;
}

json::object llama(const json::object& more = {}) {
    return with(with(with(kSizes, kRms), {{"model_type", "llama"}}), more);
}

json::object gemma(const char* model_type, const json::object& more = {}) {
    return with(with(kSizes, {{"model_type", model_type},
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
    {"arch/llama", llama(), kLlama},
    {"arch/llama", llama({{"tie_word_embeddings", false}}), kLlama, true, 3},
    {"arch/llama3-rope",
     llama({{"rope_theta", 500000.0},
            {"rope_scaling",
             {{"rope_type", "llama3"},
              {"factor", 8.0},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", 64}}}}),
     kLlama, false},
    {"arch/llama-linear", llama({{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}}), kLlama},
    {"arch/llama-yarn",
     llama({{"rope_scaling",
             {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}}}}),
     kLlama},
    {"arch/llama-yarn",
     llama({{"rope_theta", nullptr},
            {"rope_parameters",
             {{"rope_type", "yarn"},
              {"rope_theta", 10000.0},
              {"factor", 4.0},
              {"original_max_position_embeddings", 128}}}}),
     kLlama},
    {"arch/mistral-swa", llama({{"model_type", "mistral"}, {"sliding_window", 33}}), kLlama},
    {"arch/mixtral",
     llama({{"model_type", "mixtral"},
            {"sliding_window", nullptr},
            {"num_local_experts", 4},
            {"num_experts_per_tok", 2}}),
     kMixtral, true, 2},
    {"arch/qwen2",
     llama({{"model_type", "qwen2"},
            {"rope_theta", 1000000.0},
            {"use_sliding_window", false},
            {"sliding_window", 17},
            {"max_window_layers", 1},
            {"tie_word_embeddings", true}}),
     kQwen2},
    {"arch/qwen3",
     llama({{"model_type", "qwen3"},
            {"rope_theta", 1000000},
            {"head_dim", 32},
            {"tie_word_embeddings", true}}),
     kQwen3},
    {"arch/qwen3moe",
     llama({{"model_type", "qwen3_moe"},
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
     llama({{"model_type", "phi3"},
            {"rope_scaling", nullptr},
            {"original_max_position_embeddings", 512},
            {"sliding_window", 2047}}),
     kPhi3},
    {"arch/gemma", gemma("gemma", {{"hidden_act", "gelu"}}), kGemma, false},
    {"arch/gemma2",
     gemma("gemma2", {{"sliding_window", 48},
                      {"query_pre_attn_scalar", 32},
                      {"attn_logit_softcapping", 50.0},
                      {"final_logit_softcapping", 30.0}}),
     kGemma2, false},
    {"arch/gemma3",
     gemma("gemma3_text", {{"num_hidden_layers", 7},
                           {"rms_norm_eps", 1e-6},
                           {"sliding_window", 40},
                           {"query_pre_attn_scalar", 32},
                           {"rope_theta", 1000000.0},
                           {"rope_local_base_freq", 10000.0},
                           {"sliding_window_pattern", 6}}),
     kGemma3, false, 5},
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
     with(kSizes, {{"model_type", "gpt_neox"},
                   {"hidden_act", "gelu"},
                   {"layer_norm_eps", 1e-5},
                   {"rotary_pct", 0.5},
                   {"rotary_emb_base", 10000},
                   {"use_parallel_residual", true},
                   {"tie_word_embeddings", false}}),
     kGptNeox},
    {"arch/starcoder2",
     with(kSizes, {{"model_type", "starcoder2"},
                   {"hidden_act", "gelu_pytorch_tanh"},
                   {"norm_epsilon", 1e-5},
                   {"rope_theta", 10000},
                   {"use_bias", true},
                   {"sliding_window", nullptr},
                   {"tie_word_embeddings", false}}),
     kStarcoder2},
    {"quant/F16",
     llama({{"hidden_size", 256},
            {"intermediate_size", 512},
            {"num_hidden_layers", 1},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2}}),
     kLlama},
    {"quant/BF16",
     llama({{"hidden_size", 256},
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

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
