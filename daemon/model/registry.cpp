// Which architectures there are: one line each.
#include <array>
#include <fmt/format.h>

#include "daemon/model/arch/architectures.hpp"

namespace kvasir {

std::span<const Architecture> all_architectures() {
    static const std::array kArchitectures = {
        llama_architecture(),      qwen2_architecture(),   qwen3_architecture(),
        qwen3moe_architecture(),   phi3_architecture(),    gpt2_architecture(),
        starcoder2_architecture(), gptneox_architecture(), gemma_architecture(),
        gemma2_architecture(),     gemma3_architecture(),  gptneo_architecture(),
    };
    return kArchitectures;
}

Result<const Architecture*> find_architecture(std::string_view name) {
    std::string known;
    for (const Architecture& architecture : all_architectures()) {
        if (architecture.name == name) return &architecture;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.name);
    }
    return Error{ErrorCode::unsupported,
                 fmt::format("general.architecture: {} is not supported, expected one of: {}",
                             printable(name), known)};
}

}  // namespace kvasir
