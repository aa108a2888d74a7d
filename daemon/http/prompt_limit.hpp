// Refuses a text that cannot fit the context before time is spent on cutting it into tokens.
#pragma once

#include <cstddef>

#include "daemon/engine/generation.hpp"
#include "daemon/http/error_response.hpp"

namespace kvasir {

/// A token stands for at most as many bytes as the vocabulary's longest one, so more than context x
/// longest cannot fit. The first call for a model walks its vocabulary. Errors:
/// context_length_exceeded, naming param.
ApiResult<void> check_prompt_bytes(const ModelInfo& model, std::size_t n_bytes, const char* param);

}  // namespace kvasir
