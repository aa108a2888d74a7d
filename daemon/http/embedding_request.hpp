// The bodies of OpenAI's POST /v1/embeddings and of Ollama's /api/embed and /api/embeddings, read
// and checked into the request that every door makes. Pure: no engine.
#pragma once

#include <cstdint>
#include <string_view>

#include "daemon/http/completion_request.hpp"

namespace kvasir {

struct EmbeddingRequest {
    CompletionRequest request;   // prompts: the inputs
    bool is_base64 = false;      // little-endian f32, else numbers
    std::uint32_t n_values = 0;  // of each vector; shorter ones are cut and have length 1 again
};

/// Errors name the field.
ApiResult<EmbeddingRequest> parse_embeddings(std::string_view body, const HttpLimits& limits,
                                             const ModelInfo& model);
/// Without an input there are no prompts: Ollama answers with no vectors.
ApiResult<EmbeddingRequest> parse_ollama_embed(std::string_view body, const HttpLimits& limits,
                                               const ModelInfo& model);
ApiResult<EmbeddingRequest> parse_ollama_embeddings(std::string_view body, const HttpLimits& limits,
                                                    const ModelInfo& model);

}  // namespace kvasir
