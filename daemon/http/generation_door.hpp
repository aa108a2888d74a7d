// GenerationDoor: what differs between the routes that generate text; the way from a body to the
// engine and back is one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/answer_writer.hpp"
#include "daemon/http/completion_request.hpp"
#include "daemon/http/handlers.hpp"

namespace kvasir {

struct ReadRequest {
    std::string id;  // for log lines
    CompletionRequest request;
    std::unique_ptr<AnswerWriter> writer;
    const char* prompt_param = "prompt";  // what this door calls a prompt or conversation
    std::optional<HttpResponse> answer;   // nothing is to be generated: this is the answer
};

struct GenerationDoor {
    std::function<ApiResult<ReadRequest>(std::string_view body, const HttpLimits& limits,
                                         const ModelInfo& model)>
        read;
    HttpResponse (*refuse)(const ApiError& error);
};

/// Reads the exchange's body and answers it through the engine. On a worker; the model is ready.
void generate(ServerContext& context, const ExchangePtr& exchange, const GenerationDoor& door);

}  // namespace kvasir
