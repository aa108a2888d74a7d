// Metadata of a model -> its numbers, each checked.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "daemon/model/decoder.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

/// What a family's files do not say by themselves.
struct ShapeRules {
    std::uint32_t context = 0;      // longest sequence asked for; 0: the file's
    bool has_rope = true;           // false: learned positions
    bool rope_interleaved = false;  // GGUF stores some families' queries and keys permuted
    std::string_view norm_eps = "attention.layer_norm_rms_epsilon";
    bool may_have_experts = false;
};

/// Which layers see a window only, of `attention.sliding_window_pattern`: one flag a layer.
/// nullopt: absent, or not an array. Errors: corrupt.
Result<std::optional<std::vector<bool>>> read_window_pattern(const ModelSource& source,
                                                             std::string_view architecture,
                                                             std::uint32_t n_layers);

/// The keys that decoder-only families share. A sliding window is every layer's, or of those in the
/// pattern. Errors: corrupt
/// (missing, zero, contradicting), unsupported (a head_dim that is no multiple of 8 up to 256,
/// experts).
Result<ModelShape> read_common_shape(const ModelSource& source, std::string_view architecture,
                                     const ShapeRules& rules);

}  // namespace kvasir
