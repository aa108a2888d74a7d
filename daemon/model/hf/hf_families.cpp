// Which directories can be read: one line a model_type of config.json.
#include "daemon/model/hf/hf_families.hpp"

#include <array>
#include <fmt/format.h>

#include "quant/model_source.hpp"

namespace kvasir {

std::span<const HfFamily> all_hf_families() {
    static constexpr std::array kFamilies = {
        HfFamily{"llama", map_llama},
        HfFamily{"mistral", map_llama},
        HfFamily{"mixtral", map_mixtral},
        HfFamily{"qwen2", map_qwen2},
        HfFamily{"qwen3", map_qwen3},
        HfFamily{"qwen3_moe", map_qwen3_moe},
        HfFamily{"phi3", map_phi3},
        HfFamily{"gemma", map_gemma},
        HfFamily{"gemma2", map_gemma2},
        HfFamily{"gemma3_text", map_gemma3},
        HfFamily{"gemma3", map_gemma3},
        HfFamily{"gpt2", map_gpt2},
        HfFamily{"gpt_neox", map_gpt_neox},
        HfFamily{"gpt_neo", map_gpt_neo},
        HfFamily{"starcoder2", map_starcoder2},
    };
    return kFamilies;
}

Result<const HfFamily*> find_hf_family(std::string_view model_type) {
    std::string known;
    for (const HfFamily& family : all_hf_families()) {
        if (family.model_type == model_type) return &family;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", family.model_type);
    }
    return Error{ErrorCode::unsupported,
                 fmt::format("model_type: {} is not supported, expected one of: {}",
                             printable(model_type), known)};
}

}  // namespace kvasir
