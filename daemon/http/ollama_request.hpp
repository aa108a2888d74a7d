// The bodies of Ollama's POST /api/chat and /api/generate, read and checked into the request that
// every door makes.
#pragma once

#include <string_view>

#include "daemon/http/completion_request.hpp"

namespace kvasir {

struct OllamaRequest {
    CompletionRequest request;
    bool is_load = false;          // without prompt or messages: Ollama loads the model, no more
    bool returns_context = false;  // the answer says the conversation's tokens
};

/// Errors name the field.
ApiResult<OllamaRequest> parse_ollama_chat(std::string_view body, const HttpLimits& limits,
                                           const ModelInfo& model);
ApiResult<OllamaRequest> parse_ollama_generate(std::string_view body, const HttpLimits& limits,
                                               const ModelInfo& model);

}  // namespace kvasir
