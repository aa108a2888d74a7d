// How a tensor of a directory becomes one with GGUF's layout: row by row, when it is uploaded.
#pragma once

#include <span>

#include "config/base/error.hpp"
#include "daemon/model/hf/hf_mapping.hpp"
#include "daemon/model/hf/safetensors.hpp"
#include "quant/model_source.hpp"

namespace kvasir {

/// parts outlive the tensor. Errors: unsupported (dtype), corrupt (shapes that have no such layout,
/// parts that differ).
Result<TensorInfo> make_tensor(const HfTensor& wanted,
                               std::span<const SafetensorsEntry* const> parts);

}  // namespace kvasir
