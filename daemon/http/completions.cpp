// POST /v1/completions and POST /v1/chat/completions.
#include <utility>

#include "daemon/http/chat_text.hpp"
#include "daemon/http/generation_door.hpp"
#include "daemon/http/openai_writer.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

namespace {

std::string echo_text(const ModelInfo& model, const Prompt& prompt) {
    if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
    return model.tokenizer->decode(std::get<std::vector<TokenId>>(prompt), true);
}

ReadRequest with_writer(CompletionRequest request, const ModelInfo& model) {
    ReadRequest read;
    read.id = make_id(request.is_chat ? "chatcmpl-" : "cmpl-");
    read.prompt_param = request.is_chat ? "messages" : "prompt";
    AnswerShape shape;
    shape.id = read.id;
    shape.created = unix_seconds();
    shape.model = model.id;
    shape.is_chat = request.is_chat;
    shape.logprobs = request.logprobs;
    shape.n_top_logprobs = request.n_top_logprobs;
    shape.return_tokens = request.return_tokens;
    shape.include_usage = request.include_usage;
    std::vector<std::string> echoes;
    if (request.echo)
        for (const Prompt& prompt : request.prompts) echoes.push_back(echo_text(model, prompt));
    read.writer = std::make_unique<OpenAiWriter>(std::move(shape), request.n, std::move(echoes),
                                                 AnswerParts::create(request, model));
    read.request = std::move(request);
    return read;
}

ApiResult<ReadRequest> read_completion(std::string_view body, const HttpLimits& limits,
                                       const ModelInfo& model) {
    KVASIR_TRY(CompletionRequest request, parse_completion_request(body, limits, model.n_vocab));
    return with_writer(std::move(request), model);
}

ApiResult<ReadRequest> read_chat(std::string_view body, const HttpLimits& limits,
                                 const ModelInfo& model) {
    KVASIR_TRY(CompletionRequest request,
               parse_chat_request(body, limits, model.n_vocab, chat_writer(model)));
    return with_writer(std::move(request), model);
}

}  // namespace

void post_completions(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_completion, error_response});
}

void post_chat_completions(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_chat, error_response});
}

}  // namespace kvasir
