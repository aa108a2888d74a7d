// The entries of hf_families.cpp, each made by the file of its names.
#pragma once

#include "daemon/model/hf/hf_mapping.hpp"

namespace kvasir {

// hf_llama.cpp
Result<> map_llama(const HfConfig& config, HfMapping& out);
Result<> map_mixtral(const HfConfig& config, HfMapping& out);
Result<> map_qwen2(const HfConfig& config, HfMapping& out);
Result<> map_qwen3(const HfConfig& config, HfMapping& out);
Result<> map_qwen3_moe(const HfConfig& config, HfMapping& out);
Result<> map_phi3(const HfConfig& config, HfMapping& out);
// hf_gemma.cpp
Result<> map_gemma(const HfConfig& config, HfMapping& out);
Result<> map_gemma2(const HfConfig& config, HfMapping& out);
Result<> map_gemma3(const HfConfig& config, HfMapping& out);
// hf_gpt.cpp
Result<> map_gpt2(const HfConfig& config, HfMapping& out);
Result<> map_gpt_neox(const HfConfig& config, HfMapping& out);
Result<> map_starcoder2(const HfConfig& config, HfMapping& out);
// hf_gpt_neo.cpp
Result<> map_gpt_neo(const HfConfig& config, HfMapping& out);

}  // namespace kvasir
