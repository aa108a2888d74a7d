// What Hugging Face directories call their tensors and sizes, by family, and how to undo what
// converters to GGUF do.
#pragma once

#include <string>
#include <vector>

#include "tests/support/hf_from_gguf.hpp"

namespace kvasir::test {

inline std::vector<HfRename> operator+(std::vector<HfRename> all,
                                       const std::vector<HfRename>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

// ---- names, and what the converter does ----

inline const std::vector<HfRename> kModelTop = {{"token_embd.weight", "model.embed_tokens.weight"},
                                                {"output_norm.weight", "model.norm.weight"},
                                                {"output.weight", "lm_head.weight"}};
inline const std::vector<HfRename> kNorms = {
    {"attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {"ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"}};
inline const std::vector<HfRename> kValueAndOutput = {
    {"attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {"attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"}};
inline const std::vector<HfRename> kPermuted = {
    {"attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", undo_q_pairs},
    {"attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", undo_k_pairs}};
inline const std::vector<HfRename> kPlain = {
    {"attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    {"attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"}};
inline const std::vector<HfRename> kBiases = {
    {"attn_q.bias", "model.layers.{}.self_attn.q_proj.bias"},
    {"attn_k.bias", "model.layers.{}.self_attn.k_proj.bias"},
    {"attn_v.bias", "model.layers.{}.self_attn.v_proj.bias"}};
inline const std::vector<HfRename> kHeadNorms = {
    {"attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight"}};
inline const std::vector<HfRename> kSwiGlu = {
    {"ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {"ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {"ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"}};

inline const std::vector<HfRename> kBase = kModelTop + kNorms + kValueAndOutput;
inline const std::vector<HfRename> kLlama = kBase + kPermuted + kSwiGlu;
inline const std::vector<HfRename> kMixtral =
    kBase + kPermuted +
    std::vector<HfRename>{
        {"ffn_gate_inp.weight", "model.layers.{}.block_sparse_moe.gate.weight"},
        {"ffn_gate_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w1.weight"},
        {"ffn_up_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w3.weight"},
        {"ffn_down_exps.weight", "model.layers.{}.block_sparse_moe.experts.{e}.w2.weight"}};
inline const std::vector<HfRename> kQwen2 = kBase + kPlain + kBiases + kSwiGlu;
inline const std::vector<HfRename> kQwen3 = kBase + kPlain + kHeadNorms + kSwiGlu;
inline const std::vector<HfRename> kQwen3Moe =
    kBase + kPlain + kHeadNorms +
    std::vector<HfRename>{
        {"ffn_gate_inp.weight", "model.layers.{}.mlp.gate.weight"},
        {"ffn_gate_exps.weight", "model.layers.{}.mlp.experts.{e}.gate_proj.weight"},
        {"ffn_up_exps.weight", "model.layers.{}.mlp.experts.{e}.up_proj.weight"},
        {"ffn_down_exps.weight", "model.layers.{}.mlp.experts.{e}.down_proj.weight"}};
inline const std::vector<HfRename> kPhi3 =
    kBase + std::vector<HfRename>{{"attn_qkv.weight", "model.layers.{}.self_attn.qkv_proj.weight"},
                                  {"ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight"},
                                  {"ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"}};

inline const std::vector<HfRename> kGemmaTop = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight", undo_plus_one},
    {"attn_norm.weight", "model.layers.{}.input_layernorm.weight", undo_plus_one}};
inline const std::vector<HfRename> kGemma =
    kGemmaTop + kPlain + kValueAndOutput + kSwiGlu +
    std::vector<HfRename>{
        {"ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", undo_plus_one}};
inline const std::vector<HfRename> kGemma2 =
    kGemmaTop + kPlain + kValueAndOutput + kSwiGlu +
    std::vector<HfRename>{
        {"post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight",
         undo_plus_one},
        {"ffn_norm.weight", "model.layers.{}.pre_feedforward_layernorm.weight", undo_plus_one},
        {"post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight",
         undo_plus_one}};
inline const std::vector<HfRename> kGemma3 =
    kGemma2 + std::vector<HfRename>{
                  {"attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", undo_plus_one},
                  {"attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", undo_plus_one}};

/// `gguf`.weight and .bias.
inline std::vector<HfRename> both(const std::string& gguf, const std::string& name,
                                  const HfUndo& undo_weight = {}, const HfUndo& undo_bias = {}) {
    return {{gguf + ".weight", name + ".weight", undo_weight},
            {gguf + ".bias", name + ".bias", undo_bias}};
}

/// As the hub has it: without "transformer.".
inline const std::vector<HfRename> kGpt2 =
    std::vector<HfRename>{{"token_embd.weight", "wte.weight"},
                          {"position_embd.weight", "wpe.weight"}} +
    both("output_norm", "ln_f") + both("attn_norm", "h.{}.ln_1") + both("ffn_norm", "h.{}.ln_2") +
    both("attn_qkv", "h.{}.attn.c_attn", undo_transpose) +
    both("attn_output", "h.{}.attn.c_proj", undo_transpose) +
    both("ffn_up", "h.{}.mlp.c_fc", undo_transpose) +
    both("ffn_down", "h.{}.mlp.c_proj", undo_transpose);
inline const std::vector<HfRename> kGptNeox =
    std::vector<HfRename>{{"token_embd.weight", "gpt_neox.embed_in.weight"},
                          {"output.weight", "embed_out.weight"}} +
    both("output_norm", "gpt_neox.final_layer_norm") +
    both("attn_norm", "gpt_neox.layers.{}.input_layernorm") +
    both("ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm") +
    both("attn_qkv", "gpt_neox.layers.{}.attention.query_key_value", undo_qkv, undo_qkv) +
    both("attn_output", "gpt_neox.layers.{}.attention.dense") +
    both("ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h") +
    both("ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h");
inline const std::vector<HfRename> kStarcoder2 =
    kModelTop + kNorms + kPlain + kBiases + kValueAndOutput +
    std::vector<HfRename>{{"output_norm.bias", "model.norm.bias"},
                          {"attn_norm.bias", "model.layers.{}.input_layernorm.bias"},
                          {"ffn_norm.bias", "model.layers.{}.post_attention_layernorm.bias"},
                          {"attn_output.bias", "model.layers.{}.self_attn.o_proj.bias"}} +
    both("ffn_up", "model.layers.{}.mlp.c_fc") + both("ffn_down", "model.layers.{}.mlp.c_proj");

// ---- config.json of the small goldens ----

inline const boost::json::object kHfSizes = {
    {"hidden_size", 64},        {"intermediate_size", 96},  {"num_hidden_layers", 2},
    {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"max_position_embeddings", 512},
    {"vocab_size", 512},        {"bos_token_id", 509},      {"eos_token_id", 509}};
inline const boost::json::object kHfRms = {
    {"hidden_act", "silu"}, {"rms_norm_eps", 1e-5}, {"rope_theta", 10000.0}};

inline boost::json::object with_keys(boost::json::object config, const boost::json::object& more) {
    for (const auto& member : more) config[member.key()] = member.value();
    return config;
}

inline boost::json::object llama_config(const boost::json::object& more = {}) {
    return with_keys(with_keys(with_keys(kHfSizes, kHfRms), {{"model_type", "llama"}}), more);
}

}  // namespace kvasir::test
