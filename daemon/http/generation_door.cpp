// A body -> tokens -> the engine, whatever the door.
#include "daemon/http/generation_door.hpp"

#include <fmt/format.h>
#include <utility>
#include <vector>

#include "daemon/http/access.hpp"
#include "daemon/http/chat_text.hpp"
#include "daemon/http/constraint.hpp"
#include "daemon/http/generation_call.hpp"
#include "daemon/http/prompt_tokens.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace {

/// One prompt's n choices. The prompt's room in the context is the default of max_tokens.
void add_choices(GenerationCall::Plan& plan, const ReadRequest& read, const ModelInfo& model,
                 const std::vector<TokenId>& ids) {
    const CompletionRequest& request = read.request;
    const auto n_prompt = static_cast<std::uint32_t>(ids.size());
    const std::uint32_t room =
        n_prompt < model.context_length ? model.context_length - n_prompt : 1;
    const std::shared_ptr<const grammar::Constraint> constraint =
        find_constraint(model, request.grammar);
    for (std::uint32_t choice = 0; choice < request.n; ++choice) {
        GenerationRequest& one = plan.requests.emplace_back();
        one.request_id = read.id;
        one.prompt = ids;
        one.max_tokens = request.pooling ? 0 : request.max_tokens.value_or(room);
        one.pooling = request.pooling;
        one.sampling = request.sampling;
        one.sampling.choice = choice;
        one.stop = request.stop;
        one.ignore_eos = request.ignore_eos;
        one.shown_specials = request.shown_specials;
        one.slides = request.slides;
        one.constraint = constraint;
        one.priority = request.priority;
        one.logprobs = request.logprobs;
        one.n_top_logprobs = request.n_top_logprobs;
    }
}

/// The conversation's tokens, after those that the client gave for what was said before.
ApiResult<std::vector<TokenId>> encode_conversation(const CompletionRequest& request,
                                                    const ModelInfo& model) {
    KVASIR_TRY(
        std::vector<TokenId> ids,
        request.chat_variables
            ? encode_with_template(model, *request.chat_variables, request.truncates)
            : encode_chat(model, request.messages, ChatEnd::assistant_turn, request.truncates));
    if (request.before.empty()) return ids;
    if (model.tokenizer->bos() && !ids.empty() && ids.front() == *model.tokenizer->bos())
        ids.erase(ids.begin());
    ids.insert(ids.begin(), request.before.begin(), request.before.end());
    return ids;
}

/// Input i of a request that embeds.
ApiResult<std::vector<TokenId>> encode_one_of(const ReadRequest& read, const ModelInfo& model,
                                              std::size_t i) {
    const std::vector<Prompt>& inputs = read.request.prompts;
    const std::string param = inputs.size() == 1 ? std::string(read.prompt_param)
                                                 : fmt::format("{}[{}]", read.prompt_param, i);
    return encode_input(model, inputs[i], read.request.truncates, param);
}

ApiResult<GenerationCall::Plan> make_plan(ReadRequest& read, const ModelInfo& model,
                                          const HttpLimits& limits) {
    const CompletionRequest& request = read.request;
    GenerationCall::Plan plan;
    plan.stream = request.stream;
    plan.prompt_param = read.prompt_param;
    plan.queue_bytes = limits.stream_queue_bytes;
    if (request.is_chat) {
        KVASIR_TRY(const std::vector<TokenId> ids, encode_conversation(request, model));
        add_choices(plan, read, model, ids);
    }
    for (std::size_t i = 0; i < request.prompts.size(); ++i) {
        KVASIR_TRY(const std::vector<TokenId> ids, request.pooling
                                                       ? encode_one_of(read, model, i)
                                                       : encode_prompt(model, request.prompts[i]));
        add_choices(plan, read, model, ids);
    }
    if (request.pooling) plan.n_at_once = limits.n_inputs_at_once;
    plan.writer = std::move(read.writer);
    plan.writer->begin(plan.requests);
    return plan;
}

/// What holds a request that slides: as the model, of another length.
ApiResult<GenerationCall::Plan> make_sliding_plan(ReadRequest& read, const ModelInfo& model,
                                                  const HttpLimits& limits) {
    if (model.window_length == 0) {
        return ApiError{ErrorKind::unsupported_parameter,
                        "overflow: window needs attention sinks: engine.sinks is 0, or the model's "
                        "positions are learned",
                        "overflow"};
    }
    ModelInfo longer = model;
    longer.context_length = model.window_length;
    return make_plan(read, longer, limits);
}

/// Those who make tokens of a conversation call it "messages"; the door may not.
ApiError named_as_sent(ApiError error, std::string_view prompt_param) {
    constexpr std::string_view kTheirs = "messages";
    if (error.param != kTheirs || prompt_param == kTheirs) return error;
    error.param = prompt_param;
    if (error.message.starts_with(kTheirs))
        error.message.replace(0, kTheirs.size(), std::string(prompt_param));
    return error;
}

ApiResult<void> name_caller(ServerContext& context, const HttpRequest& http,
                            const CompletionRequest& request, GenerationCall::Plan& plan) {
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
    return {};
}

ApiResult<ReadRequest> read_body(const ServerContext& context, Exchange& exchange,
                                 const ModelInfo& model, const GenerationDoor& door) {
    // The body's memory and its share of the budget are free before the tokens are made.
    const RequestBody body = exchange.take_body();
    return door.read(body.bytes(), context.options.limits, model);
}

}  // namespace

void generate(ServerContext& context, const ExchangePtr& exchange, const GenerationDoor& door) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    const HttpLimits& limits = context.options.limits;
    ApiResult<ReadRequest> read = read_body(context, *exchange, *model, door);
    if (read.has_error()) return exchange->reply(door.refuse(read.error()));
    if (read->answer) return exchange->reply(std::move(*read->answer));
    ApiResult<GenerationCall::Plan> plan = read->request.slides
                                               ? make_sliding_plan(*read, *model, limits)
                                               : make_plan(*read, *model, limits);
    if (plan.has_error())
        return exchange->reply(door.refuse(named_as_sent(plan.error(), read->prompt_param)));
    if (const auto named = name_caller(context, exchange->request(), read->request, *plan);
        named.has_error())
        return exchange->reply(door.refuse(named.error()));
    auto call = std::make_shared<GenerationCall>(std::move(*plan), context.engine, exchange);
    exchange->attach(call);
    call->submit();
}

}  // namespace kvasir
