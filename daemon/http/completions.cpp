// POST /v1/completions and POST /v1/chat/completions: body -> tokens -> engine.
#include <fmt/format.h>
#include <utility>

#include "daemon/http/access.hpp"
#include "daemon/http/chat_ml.hpp"
#include "daemon/http/completion_request.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/generation_call.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/prompt_limit.hpp"

namespace kvasir {

namespace {

ApiResult<std::vector<TokenId>> encode_text(const ModelInfo& model, const std::string& text) {
    KVASIR_TRY_VOID(check_prompt_bytes(model, text.size(), "prompt"));
    const Tokenizer& tokenizer = *model.tokenizer;
    std::vector<TokenId> ids = tokenizer.encode(text, Tokenizer::Special::parse);
    if (tokenizer.add_bos() && tokenizer.bos() && (ids.empty() || ids.front() != *tokenizer.bos()))
        ids.insert(ids.begin(), *tokenizer.bos());
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "prompt: empty, expected at least one token",
                        "prompt"};
    }
    return ids;
}

ApiResult<std::vector<TokenId>> encode_prompt(const ModelInfo& model, const Prompt& prompt) {
    if (const auto* text = std::get_if<std::string>(&prompt)) return encode_text(model, *text);
    const auto& ids = std::get<std::vector<TokenId>>(prompt);
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "prompt: empty, expected at least one token",
                        "prompt"};
    }
    return ids;
}

ApiResult<std::vector<TokenId>> encode_chat(const ModelInfo& model,
                                            const std::vector<ChatMessage>& messages) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : messages) bytes += message.content.size();
    KVASIR_TRY_VOID(check_prompt_bytes(model, bytes, "messages"));
    Result<std::vector<TokenId>> ids = render_chat_ml(*model.tokenizer, messages);
    if (ids.has_error())
        return ApiError{ErrorKind::unsupported_parameter, ids.error().message, "messages"};
    return std::move(*ids);
}

std::string echo_text(const ModelInfo& model, const Prompt& prompt) {
    if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
    return model.tokenizer->decode(std::get<std::vector<TokenId>>(prompt), true);
}

/// One prompt's n choices. The prompt's room in the context is the default of max_tokens.
void add_choices(GenerationCall::Plan& plan, const CompletionRequest& request,
                 const ModelInfo& model, const std::vector<TokenId>& ids) {
    const auto n_prompt = static_cast<std::uint32_t>(ids.size());
    const std::uint32_t room =
        n_prompt < model.context_length ? model.context_length - n_prompt : 1;
    for (std::uint32_t choice = 0; choice < request.n; ++choice) {
        GenerationRequest& one = plan.requests.emplace_back();
        one.request_id = plan.shape.id;
        one.prompt = ids;
        one.max_tokens = request.max_tokens.value_or(room);
        one.sampling = request.sampling;
        one.sampling.choice = choice;
        one.stop = request.stop;
        one.ignore_eos = request.ignore_eos;
        one.logprobs = request.logprobs;
        one.n_top_logprobs = request.n_top_logprobs;
    }
}

ApiResult<GenerationCall::Plan> make_plan(const CompletionRequest& request, const ModelInfo& model,
                                          const HttpLimits& limits) {
    GenerationCall::Plan plan;
    plan.shape.id = make_id(request.is_chat ? "chatcmpl-" : "cmpl-");
    plan.shape.created = unix_seconds();
    plan.shape.model = model.id;
    plan.shape.is_chat = request.is_chat;
    plan.shape.logprobs = request.logprobs;
    plan.shape.n_top_logprobs = request.n_top_logprobs;
    plan.shape.return_tokens = request.return_tokens;
    plan.shape.include_usage = request.include_usage;
    plan.stream = request.stream;
    plan.n = request.n;
    plan.prompt_param = request.is_chat ? "messages" : "prompt";
    plan.queue_bytes = limits.stream_queue_bytes;
    if (request.is_chat) {
        KVASIR_TRY(const std::vector<TokenId> ids, encode_chat(model, request.messages));
        add_choices(plan, request, model, ids);
        return plan;
    }
    for (const Prompt& prompt : request.prompts) {
        KVASIR_TRY(const std::vector<TokenId> ids, encode_prompt(model, prompt));
        add_choices(plan, request, model, ids);
        if (request.echo) plan.echoes.push_back(echo_text(model, prompt));
    }
    return plan;
}

using Parse = ApiResult<CompletionRequest> (*)(std::string_view, const HttpLimits&, std::uint32_t);

ApiResult<GenerationCall::Plan> read_plan(ServerContext& context, Exchange& exchange,
                                          const ModelInfo& model, Parse parse) {
    const HttpLimits& limits = context.options.limits;
    RequestBody body = exchange.take_body();
    KVASIR_TRY(const CompletionRequest request, parse(body.bytes(), limits, model.n_vocab));
    body = RequestBody();  // its memory and its share of the budget, before the tokens are made
    KVASIR_TRY(GenerationCall::Plan plan, make_plan(request, model, limits));
    const std::uint32_t domain = isolation_domain(context.options, exchange.request());
    for (GenerationRequest& one : plan.requests) one.domain = domain;
    return plan;
}

void generate(ServerContext& context, const ExchangePtr& exchange, Parse parse) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    ApiResult<GenerationCall::Plan> plan = read_plan(context, *exchange, *model, parse);
    if (plan.has_error()) return exchange->reply(error_response(plan.error()));
    auto call = std::make_shared<GenerationCall>(std::move(*plan), context.engine, exchange);
    exchange->attach(call);
    call->submit();
}

}  // namespace

void post_completions(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, parse_completion_request);
}

void post_chat_completions(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, parse_chat_request);
}

}  // namespace kvasir
