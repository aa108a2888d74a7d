// Metadata of a GGUF file -> the numbers of a model, each checked.
#pragma once

#include <string_view>

#include "daemon/model/decoder.hpp"
#include "quant/gguf.hpp"

namespace kvasir {

/// What a family's files do not say by themselves.
struct ShapeRules {
    std::uint32_t context = 0;      // longest sequence asked for; 0: the file's
    bool has_rope = true;           // false: learned positions
    bool rope_interleaved = false;  // GGUF stores some families' queries and keys permuted
    std::string_view norm_eps = "attention.layer_norm_rms_epsilon";
    bool may_have_experts = false;
};

/// The keys that decoder-only families share. A sliding window is every layer's. Errors: corrupt
/// (missing, zero, contradicting), unsupported (a head_dim that is no multiple of 8 up to 256,
/// experts).
Result<ModelShape> read_common_shape(const GgufFile& file, std::string_view architecture,
                                     const ShapeRules& rules);

}  // namespace kvasir
