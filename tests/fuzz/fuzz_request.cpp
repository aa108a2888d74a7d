// Any bytes as a connection's input: every request gets one answer, whole and in its door's shape.
// An engine of no device answers with the request's own bytes, so that they are read as a model's
// answer too.
#include <array>
#include <boost/json/parse.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/check.hpp"
#include "config/base/log.hpp"
#include "daemon/http/request_parser.hpp"
#include "daemon/http/routes.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/vocabulary.hpp"

namespace {

using namespace kvasir;

constexpr std::string_view kTemplate =
    "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments|tojson }}"
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}";

std::shared_ptr<const ModelInfo> make_model(std::string_view chat_template) {
    test::Vocabulary vocabulary;
    for (const char* special : {"<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"})
        vocabulary.add(special, 3);
    vocabulary.ids["eos"] = vocabulary.id("<|im_end|>");
    auto model = std::make_shared<ModelInfo>();
    model->id = "fuzz";
    model->context_length = 2048;
    model->embedding_length = 4;
    const test::ScratchFile file(vocabulary.gguf().file(0));
    model->tokenizer = Tokenizer::create(GgufFile::open(file.path()).value()).value();
    model->n_vocab = model->tokenizer->n_vocab();
    model->chat_template = chat_template;
    model->eos_text = "<|im_end|>";
    return model;
}

/// A cache that holds nothing.
class EmptyCache final : public CacheControl {
public:
    Result<SessionInfo> create_session(const Caller&, const SessionOptions& options) override {
        return SessionInfo{.id = options.id, .context = options.context};
    }
    std::vector<SessionInfo> sessions(const Caller&) override { return {}; }
    Result<SessionInfo> session(const Caller&, const std::string& id) override {
        return SessionInfo{.id = id, .context = {}};
    }
    Result<SessionInfo> patch_session(const Caller&, const std::string& id,
                                      const SessionPatch& patch) override {
        return SessionInfo{.id = id, .context = patch.context.value_or("")};
    }
    Result<Freed> end_session(const Caller&, const std::string&) override { return Freed{}; }
    void save_session(const Caller&, const std::string& id, SnapshotDone done) override {
        done(SnapshotInfo{id, 0});
    }
    void restore_session(const Caller&, const std::string& id, SnapshotDone done) override {
        done(SnapshotInfo{id, 0});
    }
    std::vector<PrefixInfo> prefixes(const Caller&) override { return {}; }
    Result<PrefixInfo> prefix(const Caller&, const std::string& name) override {
        return PrefixInfo{.name = name};
    }
    Result<Freed> drop_prefix(const Caller&, const std::string&) override { return Freed{}; }
    Freed end_context(const Caller&, const std::string&) override { return {}; }
    CacheReport report(const Caller&) override { return {}; }
    Freed evict(const Caller&, std::optional<std::uint32_t>) override { return {}; }
};

/// Answers when it is told to, with the same bytes for every request.
class EchoEngine final : public GenerationEngine {
public:
    explicit EchoEngine(std::shared_ptr<const ModelInfo> model) : model_(std::move(model)) {}

    void set_answer(std::string_view answer) {
        answer_ = model_->tokenizer->encode(answer, Tokenizer::Special::parse);
    }
    /// False: nothing is left to do.
    bool run() {
        auto requests = std::exchange(requests_, {});
        auto tasks = std::exchange(tasks_, {});
        for (auto& [request, sink] : requests) answer(request, *sink);
        for (auto& task : tasks) task(cache_);
        return !requests.empty() || !tasks.empty();
    }

    EngineState state() const override {
        return {.phase = EngineState::Phase::ready, .progress = 1, .error = {}};
    }
    std::shared_ptr<const ModelInfo> model() const override { return model_; }
    Result<RequestId> submit(GenerationRequest request,
                             std::shared_ptr<GenerationSink> sink) override {
        KVASIR_CHECK(!request.prompt.empty(), "a prompt has tokens");
        for (const TokenId id : request.prompt)
            KVASIR_CHECK(id < model_->n_vocab, "a prompt's ids are tokens");
        KVASIR_CHECK(request.max_tokens > 0 || request.pooling || request.prefix,
                     "an answer has room");
        if (request.prompt.size() > model_->context_length)
            return Error{ErrorCode::too_large, "the prompt is too long"};
        requests_.emplace_back(std::move(request), std::move(sink));
        return RequestId{++last_id_};
    }
    void cancel(RequestId) override {}
    EngineMetrics metrics() const override { return {}; }
    Result<> post(std::function<void(CacheControl&)> task) override {
        tasks_.push_back(std::move(task));
        return {};
    }

private:
    void answer(const GenerationRequest& request, GenerationSink& sink) const {
        GenerationEnd end;
        end.n_prompt_tokens = static_cast<std::uint32_t>(request.prompt.size());
        if (request.pooling) end.embedding = {1, 2, 3, 4};
        IncrementalDetokenizer detokenizer(model_->tokenizer, request.shown_specials);
        for (const TokenId id : answer_) {
            if (end.n_generated_tokens == request.max_tokens || request.pooling) break;
            ++end.n_generated_tokens;
            GeneratedToken token{.id = id, .bytes = {}, .logprob = -1, .top = {}};
            if (request.logprobs) {
                token.bytes = model_->tokenizer->token_bytes(id, true);
                for (std::uint32_t i = 0; i < request.n_top_logprobs; ++i)
                    token.top.push_back({i, model_->tokenizer->token_bytes(i, true), -1});
            }
            GenerationChunk chunk{.text = detokenizer.push(id), .tokens = {}};
            chunk.tokens.push_back(std::move(token));
            sink.on_chunk(std::move(chunk));
        }
        if (GenerationChunk rest{.text = detokenizer.finish(), .tokens = {}}; !rest.text.empty())
            sink.on_chunk(std::move(rest));
        if (end.n_generated_tokens == request.max_tokens) end.reason = FinishReason::length;
        sink.on_end(std::move(end));
    }

    const std::shared_ptr<const ModelInfo> model_;
    std::vector<TokenId> answer_;
    std::vector<std::pair<GenerationRequest, std::shared_ptr<GenerationSink>>> requests_;
    std::vector<std::function<void(CacheControl&)>> tasks_;
    EmptyCache cache_;
    std::uint64_t last_id_ = 0;
};

void check_response(const HttpResponse& response) {
    KVASIR_CHECK(response.status >= 200 && response.status < 600, "a status");
    if (response.content_type != "application/json") return;
    boost::json::error_code failed;
    const boost::json::value body = boost::json::parse(response.body, failed);
    KVASIR_CHECK(!failed && body.is_object(), "an answer is an object");
    KVASIR_CHECK(response.status < 400 || body.get_object().contains("error"),
                 "a refusal says why");
}

class FuzzExchange final : public Exchange {
public:
    using Exchange::Exchange;
    void reply(HttpResponse response) override {
        KVASIR_CHECK(!is_answered(), "a request is answered once");
        check_response(response);
        replied_ = true;
    }
    void attach(std::shared_ptr<ResponseSource> source) override {
        KVASIR_CHECK(!is_answered(), "a request is answered once");
        source_ = std::move(source);
    }
    void wake() override {}
    bool gone() const override { return false; }

    bool is_answered() const { return replied_ || source_ != nullptr; }
    /// Source and exchange hold each other.
    void close() {
        if (source_ != nullptr) source_->abandon();
        source_.reset();
    }
    /// True: the answer is complete.
    bool pull() {
        if (source_ == nullptr) return replied_;
        for (int i = 0; i < 3; ++i) {
            const ResponseSource::Piece piece = source_->pull();
            if (piece.whole) check_response(*piece.whole);
            if (piece.whole || piece.end || piece.drop) return true;
        }
        return false;
    }

private:
    bool replied_ = false;
    std::shared_ptr<ResponseSource> source_;
};

struct Server {
    explicit Server(std::string_view chat_template)
        : engine(std::make_shared<EchoEngine>(make_model(chat_template))) {
        set_up_log(LogLevel::off);
        context->options.limits.body_bytes = 1 << 16;
        context->options.limits.n_choices = 4;
        context->options.limits.n_inputs = 8;
        context->options.api_keys = {{"key", {}}};
        context->engine = engine;
        context->items = std::make_shared<ItemMemory>();
        context->run_on_worker = [](const std::function<void()>& work) { work(); };
    }

    void answer(HttpRequest request) {
        request.id = "req_1";
        request.peer.uid = 1;
        request.bound_sessions = std::make_shared<BoundSessions>();
        engine->set_answer(request.body.bytes().substr(0, 256));
        const auto exchange = std::make_shared<FuzzExchange>(std::move(request));
        route_request(context, exchange);
        for (int round = 0; !exchange->pull(); ++round) {
            const bool worked = engine->run();
            KVASIR_CHECK(worked || round == 0, "an answer ends");
        }
        exchange->close();
    }

    /// Requests one after another, as they come over a connection.
    void receive(std::string_view bytes, bool over_tcp) {
        while (!bytes.empty()) {
            RequestParser parser(*context);
            while (!parser.done()) {
                if (bytes.empty()) return;
                const RequestParser::Progress progress = parser.put(bytes);
                bytes.remove_prefix(progress.n_consumed);
                if (progress.error) {
                    KVASIR_CHECK(!progress.error->message.empty(), "a refusal says why");
                    return;
                }
                if (parser.header_done() && parser.check_header()) return;
                if (progress.n_consumed == 0) return;
            }
            HttpRequest request = parser.describe();
            request.over_tcp = over_tcp;
            request.body = parser.take_body();
            const bool keeps = parser.keep_alive();
            answer(std::move(request));
            if (!keeps) return;
        }
    }

    /// A body alone: what a header would say of it is always right.
    void post(const char* path, std::string_view body) {
        HttpRequest request;
        request.method = "POST";
        request.path = path;
        KVASIR_CHECK(request.body.append(body), "a body without a budget");
        answer(std::move(request));
    }

    std::shared_ptr<EchoEngine> engine;
    std::shared_ptr<ServerContext> context = std::make_shared<ServerContext>();
};

constexpr std::array kPaths{"/v1/completions", "/v1/chat/completions",
                            "/v1/responses",   "/v1/embeddings",
                            "/api/chat",       "/api/generate",
                            "/api/embed",      "/api/embeddings",
                            "/api/show",       "/tokenize",
                            "/detokenize",     "/apply-template",
                            "/v1/sessions",    "/v1/prefixes",
                            "/v1/cache/evict"};

}  // namespace

/// The first byte chooses: bit 0 the model's own template or ChatML; then, from 'a' on by twos, a
/// path for the rest as a body; from 'A' on, the rest is what comes over a connection.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Server with_template(kTemplate);
    static Server with_chat_ml("");
    if (size < 2) return 0;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    Server& server = (data[0] & 1) == 0 ? with_template : with_chat_ml;
    if (data[0] < 'a') {
        server.receive(rest, (data[0] & 2) != 0);
    } else {
        server.post(kPaths[(data[0] - 'a') / 2U % kPaths.size()], rest);
    }
    return 0;
}
