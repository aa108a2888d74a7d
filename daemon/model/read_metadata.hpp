// Metadata of a GGUF file -> the numbers of a model, each checked.
#pragma once

#include <string_view>

#include "daemon/model/decoder.hpp"
#include "quant/gguf.hpp"

namespace kvasir {

struct ShapeRules {
    bool rope_interleaved = false;
};

/// The keys that decoder-only families share. Errors: corrupt (missing, zero, contradicting),
/// unsupported (a head_dim that is no multiple of 8 up to 256, experts).
Result<ModelShape> read_common_shape(const GgufFile& file, std::string_view architecture,
                                     const ShapeRules& rules);

}  // namespace kvasir
