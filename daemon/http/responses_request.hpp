// The body of OpenAI's POST /v1/responses, read and checked into the request that every door makes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/http/completion_request.hpp"

namespace kvasir {

/// What the answer repeats of its request.
struct ResponseEcho {
    std::optional<std::string> instructions;
    std::optional<std::string> prompt_cache_key;
    std::optional<std::string> effort;  // reasoning.effort
    std::vector<std::pair<std::string, std::string>> metadata;
    std::optional<std::uint32_t> max_output_tokens;
    float temperature = 1;
    float top_p = 1;
    bool truncates = false;
    bool parallel_tool_calls = true;
    // JSON, as sent
    std::string tools = "[]";
    std::string tool_choice = R"("auto")";
    std::string text_format = R"({"type":"text"})";
};

struct ResponsesRequest {
    CompletionRequest request;
    ResponseEcho echo;
};

/// Errors name the field. Nothing is stored: what refers to a stored response is refused.
ApiResult<ResponsesRequest> parse_responses_request(std::string_view body, const HttpLimits& limits,
                                                    const ModelInfo& model);

}  // namespace kvasir
