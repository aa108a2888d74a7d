// GPT-Neo: gpt2.cpp's op order with scores as they come, and windows on some layers.
#include "daemon/model/arch/architectures.hpp"
#include "daemon/model/arch/layer_norm_weights.hpp"
#include "daemon/model/read_metadata.hpp"

namespace kvasir {
namespace {

Result<ModelShape> read_gptneo_shape(const ModelSource& source, std::string_view architecture,
                                     std::uint32_t context) {
    KVASIR_TRY(ModelShape shape, read_common_shape(source, architecture,
                                                   {.context = context,
                                                    .has_rope = false,
                                                    .norm_eps = "attention.layer_norm_epsilon"}));
    shape.ffn_epilogue = shared::kEpilogueGelu;
    shape.score_scale = 1;
    return shape;
}

}  // namespace

Architecture gptneo_architecture() {
    return {"gptneo", read_gptneo_shape, load_gpt2};
}

}  // namespace kvasir
