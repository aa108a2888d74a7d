// The body of OpenAI's POST /v1/responses, read and checked into the request that every door makes.
#pragma once

#include <functional>
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
    Priority priority = Priority::interactive;
    bool parallel_tool_calls = true;
    // JSON, as sent
    std::string tools = "[]";
    std::string tool_choice = R"("auto")";
    std::string text_format = R"({"type":"text"})";
};

struct ResponsesRequest {
    CompletionRequest request;
    ResponseEcho echo;
    bool keeps_items = true;  // "store" is not false: later requests may name them
};

/// The JSON of an item that an earlier answer had, by its id; nullopt: there is none.
using FindItem = std::function<std::optional<std::string>(std::string_view id)>;

/// Errors name the field. No response is stored: what refers to one is refused, but for items.
ApiResult<ResponsesRequest> parse_responses_request(std::string_view body, const HttpLimits& limits,
                                                    const ModelInfo& model,
                                                    const FindItem& find_item = {});

}  // namespace kvasir
