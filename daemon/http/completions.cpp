// POST /v1/completions and POST /v1/chat/completions: body -> tokens -> engine.
#include <fmt/format.h>
#include <utility>

#include "daemon/http/access.hpp"
#include "daemon/http/chat_text.hpp"
#include "daemon/http/completion_request.hpp"
#include "daemon/http/constraint.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/generation_call.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/prompt_tokens.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace {

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
    const std::shared_ptr<const grammar::Constraint> constraint =
        find_constraint(model, request.grammar);
    for (std::uint32_t choice = 0; choice < request.n; ++choice) {
        GenerationRequest& one = plan.requests.emplace_back();
        one.request_id = plan.shape.id;
        one.prompt = ids;
        one.max_tokens = request.max_tokens.value_or(room);
        one.sampling = request.sampling;
        one.sampling.choice = choice;
        one.stop = request.stop;
        one.ignore_eos = request.ignore_eos;
        one.slides = request.slides;
        one.constraint = constraint;
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
        KVASIR_TRY(
            const std::vector<TokenId> ids,
            request.chat_variables
                ? encode_with_template(model, *request.chat_variables, request.truncates)
                : encode_chat(model, request.messages, ChatEnd::assistant_turn, request.truncates));
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

/// What holds a request that slides: as the model, of another length.
ApiResult<GenerationCall::Plan> make_sliding_plan(const CompletionRequest& request,
                                                  const ModelInfo& model,
                                                  const HttpLimits& limits) {
    if (model.window_length == 0) {
        return ApiError{ErrorKind::unsupported_parameter,
                        "overflow: window needs attention sinks: engine.sinks is 0, or the model's "
                        "positions are learned",
                        "overflow"};
    }
    ModelInfo longer = model;
    longer.context_length = model.window_length;
    return make_plan(request, longer, limits);
}

using Parse = ApiResult<CompletionRequest> (*)(std::string_view, const HttpLimits&,
                                               const ModelInfo&);

ApiResult<CompletionRequest> parse_completion(std::string_view body, const HttpLimits& limits,
                                              const ModelInfo& model) {
    return parse_completion_request(body, limits, model.n_vocab);
}

ApiResult<CompletionRequest> parse_chat(std::string_view body, const HttpLimits& limits,
                                        const ModelInfo& model) {
    return parse_chat_request(body, limits, model.n_vocab, chat_writer(model));
}

ApiResult<GenerationCall::Plan> read_plan(ServerContext& context, Exchange& exchange,
                                          const ModelInfo& model, Parse parse) {
    const HttpLimits& limits = context.options.limits;
    RequestBody body = exchange.take_body();
    KVASIR_TRY(const CompletionRequest request, parse(body.bytes(), limits, model));
    body = RequestBody();  // its memory and its share of the budget, before the tokens are made
    KVASIR_TRY(GenerationCall::Plan plan, request.slides ? make_sliding_plan(request, model, limits)
                                                         : make_plan(request, model, limits));
    const HttpRequest& http = exchange.request();
    const Caller caller = caller_of(context.options, http);
    std::string session = request.session;
    if (session.empty() && !http.session_id.empty()) {
        if (Outcome wrong = check_name(http.session_id, "X-Session-Id")) return std::move(*wrong);
        session = http.session_id;
    }
    const std::uint32_t page_domain =
        request.cache_salt.empty()
            ? caller.domain
            : context.options.domains.salted(caller.domain, request.cache_salt);
    for (GenerationRequest& one : plan.requests) {
        one.domain = caller.domain;
        one.page_domain = page_domain;
        one.is_administrator = caller.is_administrator;
        one.session = session;
        one.context = request.context;
        one.is_chat = request.is_chat;
    }
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
    generate(context, exchange, parse_completion);
}

void post_chat_completions(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, parse_chat);
}

}  // namespace kvasir
