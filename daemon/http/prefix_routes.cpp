// /v1/prefixes: named openings, computed ahead.
#include <mutex>
#include <utility>

#include "daemon/http/cache_call.hpp"
#include "daemon/http/chat_text.hpp"
#include "daemon/http/prompt_tokens.hpp"

namespace kvasir {

namespace {

/// A prefix on its way through the engine: its sink, and the source of the answer.
class PrefixCall final : public ResponseSource,
                         public GenerationSink,
                         public std::enable_shared_from_this<PrefixCall> {
public:
    PrefixCall(std::shared_ptr<GenerationEngine> engine, std::shared_ptr<Exchange> exchange,
               Caller caller, std::string name)
        : engine_(std::move(engine)),
          caller_(caller),
          name_(std::move(name)),
          exchange_(std::move(exchange)) {}

    void submit(GenerationRequest request) {
        const Result<RequestId> id = engine_->submit(std::move(request), shared_from_this());
        if (id.has_error()) return finish(error_response(to_api_error(id.error())));
        bool abandoned = false;
        {
            const std::lock_guard lock(mutex_);
            id_ = *id;
            abandoned = exchange_ == nullptr;
        }
        if (abandoned) engine_->cancel(*id);
    }

    // Engine's thread.
    void on_chunk(GenerationChunk) noexcept override {}
    void on_end(GenerationEnd end) noexcept override {
        try {
            take_end(end);
        } catch (...) {  // std::bad_alloc, in practice
            const std::lock_guard lock(mutex_);
            lost_ = true;  // the connection's next tick finds it
        }
    }

    // Strand.
    Piece pull() override {
        const std::lock_guard lock(mutex_);
        if (lost_ && !finished_) {
            finished_ = true;
            response_ = error_response({ErrorKind::out_of_memory, "out of memory", {}});
        }
        return {.whole = std::exchange(response_, {}), .bytes = {}};
    }
    Piece keep_alive() override { return pull(); }
    void stop() override {
        finish(error_response({ErrorKind::stopping, "the server is stopping", {}}));
    }
    void abandon() noexcept override {
        std::shared_ptr<Exchange> released;
        std::optional<RequestId> id;
        {
            const std::lock_guard lock(mutex_);
            released.swap(exchange_);
            id = id_;
        }
        if (id) engine_->cancel(*id);
    }

private:
    void take_end(const GenerationEnd& end) {
        if (end.reason != FinishReason::stop) {
            return finish(error_response(
                end.error ? to_api_error(*end.error)
                          : ApiError{ErrorKind::cancelled, "the prefix was not computed", {}}));
        }
        const Result<> posted = engine_->post([self = shared_from_this()](CacheControl& cache) {
            const Result<PrefixInfo> info = cache.prefix(self->caller_, self->name_);
            if (info.has_error()) return self->finish(error_response(to_api_error(info.error())));
            HttpResponse response;
            JsonWriter json(response.body);
            write_prefix(json, *info);
            self->finish(std::move(response));
        });
        if (posted.has_error()) finish(error_response(to_api_error(posted.error())));
    }

    void finish(HttpResponse response) {
        const std::lock_guard lock(mutex_);
        if (finished_ || exchange_ == nullptr) return;
        finished_ = true;
        response_ = std::move(response);
        exchange_->wake();
    }

    const std::shared_ptr<GenerationEngine> engine_;
    const Caller caller_;
    const std::string name_;

    std::mutex mutex_;
    std::shared_ptr<Exchange> exchange_;  // null once abandoned
    std::optional<RequestId> id_;
    std::optional<HttpResponse> response_;
    bool finished_ = false;
    bool lost_ = false;
};

/// Exactly one of text, messages and tokens.
ApiResult<std::vector<TokenId>> read_tokens(const JsonFields& fields, const ModelInfo& model) {
    int n_given = 0;
    for (const char* name : {"text", "messages", "tokens"})
        n_given += fields.find(name) != nullptr ? 1 : 0;
    if (n_given != 1) {
        return ApiError{ErrorKind::invalid_request,
                        "expected exactly one of text, messages and tokens", "text"};
    }
    CompletionRequest request;
    if (fields.find("messages") != nullptr && chat_writer(model) == ChatWriter::model_template) {
        boost::json::object variables{{"messages", *fields.find("messages")}};
        if (Outcome wrong = take_chat_variables(variables, false, request))
            return std::move(*wrong);
        return encode_with_template(model, *request.chat_variables);
    }
    if (fields.find("messages") != nullptr) {
        if (Outcome wrong = read_messages(fields, request)) return std::move(*wrong);
        return encode_chat(model, request.messages, ChatEnd::open);
    }
    const char* name = fields.find("text") != nullptr ? "text" : "tokens";
    const boost::json::value& value = *fields.find(name);
    if (value.is_string() != (std::string_view(name) == "text"))
        return field_error(name, std::string(json_kind_name(value)) + ", expected another type");
    if (Outcome wrong = add_prompt(value, name, model.n_vocab, request)) return std::move(*wrong);
    return encode_prompt(model, request.prompts.front());
}

ApiResult<GenerationRequest> read_prefix(ServerContext& context, Exchange& exchange,
                                         const ModelInfo& model) {
    KVASIR_TRY(const boost::json::object body,
               read_cache_body(context, exchange, {"name", "text", "messages", "tokens", "ttl"}));
    const JsonFields fields(body);
    PrefixOptions prefix;
    if (Outcome wrong = read_name(fields, "name", prefix.name)) return std::move(*wrong);
    if (prefix.name.empty()) return field_error("name", "missing");
    KVASIR_TRY(const std::optional<TimeToLive> ttl, read_ttl(fields));
    if (ttl) prefix.ttl = *ttl;
    GenerationRequest request;
    KVASIR_TRY(request.prompt, read_tokens(fields, model));
    request.request_id = exchange.request().id;
    const Caller caller = caller_of(context.options, exchange.request());
    request.domain = caller.domain;
    request.page_domain = caller.domain;
    request.is_administrator = caller.is_administrator;
    request.prefix = std::move(prefix);
    return request;
}

}  // namespace

void post_prefix(ServerContext& context, const ExchangePtr& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    ApiResult<GenerationRequest> request = read_prefix(context, *exchange, *model);
    if (request.has_error()) return exchange->reply(error_response(request.error()));
    const Caller caller{.domain = request->domain, .is_administrator = request->is_administrator};
    const auto call =
        std::make_shared<PrefixCall>(context.engine, exchange, caller, request->prefix->name);
    exchange->attach(call);
    call->submit(std::move(*request));
}

void get_prefixes(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [](CacheControl& cache, const Caller& caller) -> Result<std::string> {
                  return list_json(cache.prefixes(caller), write_prefix);
              });
}

void get_prefix(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [name = exchange->request().path_id](CacheControl& cache,
                                                   const Caller& caller) -> Result<std::string> {
                  KVASIR_TRY(const PrefixInfo info, cache.prefix(caller, name));
                  std::string body;
                  JsonWriter json(body);
                  write_prefix(json, info);
                  return body;
              });
}

void delete_prefix(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [name = exchange->request().path_id](CacheControl& cache,
                                                   const Caller& caller) -> Result<std::string> {
                  KVASIR_TRY(const Freed freed, cache.drop_prefix(caller, name));
                  return deleted_json("prefix", name, freed);
              });
}

}  // namespace kvasir
