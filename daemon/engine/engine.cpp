#include "daemon/engine/engine.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <new>
#include <random>
#include <time.h>

#include "config/base/check.hpp"
#include "config/base/log.hpp"
#include "daemon/engine/kv_choice.hpp"
#include "daemon/engine/kv_quality.hpp"
#include "daemon/engine/running_request.hpp"
#include "daemon/engine/scheduler.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kPage = shared::kPageTokens;

/// Milliseconds on the boot clock, which runs on while the device sleeps: time to live is counted
/// on it.
std::uint64_t boot_clock_ms() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

double milliseconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

std::uint64_t random_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

constexpr std::uint64_t kAutoLimitMs = 60'000;

/// An earlier choice for this model and device, or a test of the candidates.
Result<> choose_kv(Model& model, ModelOptions& options) {
    const std::filesystem::path& dir = options.device.pipeline_cache_dir;
    KVASIR_TRY(const std::uint64_t key, kv_choice_key(options.path, model.device().fingerprint()));
    if (const auto known = dir.empty() ? std::nullopt : read_kv_choice(dir, key)) {
        options.kv = *known;
        log_info("kv format",
                 {{"auto", to_string(*known)}, {"reason", "chosen at an earlier start"}});
        return model.change_kv(options);
    }
    KVASIR_TRY_VOID(choose_kv_formats(model, options, kAutoLimitMs));
    if (dir.empty()) return {};
    const auto written = write_kv_choice(dir, key, options.kv);
    if (written.has_error()) log_warn("kv format", {{"error", written.error().message}});
    return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options,
                                               const Model::Progress& progress) {
    std::unique_ptr<Engine> engine(new Engine(options));
    KVASIR_TRY(engine->model_, Model::load(options.model, progress));
    const Model& model = *engine->model_;
    if (options.auto_kv) {
        ModelOptions chosen = options.model;
        KVASIR_TRY_VOID(choose_kv(*engine->model_, chosen));
    }
    log_info("kv cache", {{"format", to_string(model.kv().shape().layers.front())},
                          {"bits_per_element", kv_bits_per_element(model.kv().shape())},
                          {"bytes_per_token", model.kv_bytes_per_token()},
                          {"pages", model.n_pages()},
                          {"page_bytes", model.kv().shape().page_bytes()},
                          {"allocated_bytes", model.kv().allocated_bytes()},
                          {"device", model.device().name()}});
    if (model.tokenizer() == nullptr) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: the file has no tokenizer", options.model.path.string())};
    }
    engine->cache_ = std::make_unique<KvCache>(
        KvCache::Options{.n_pages = model.n_pages(), .hash_seed = random_seed()});
    engine->slots_ = std::make_unique<OpenSlots>(model.n_open_slots());
    engine->info_ =
        std::make_shared<const ModelInfo>(ModelInfo{.id = model.name(),
                                                    .context_length = model.context_length(),
                                                    .n_vocab = model.tokenizer()->n_vocab(),
                                                    .n_parameters = model.n_parameters(),
                                                    .tokenizer = model.tokenizer()});
    engine->publish_metrics();
    engine->thread_ = std::thread([raw = engine.get()] { raw->run(); });
    return engine;
}

Engine::Engine(const EngineOptions& options) : options_(options) {}

Engine::~Engine() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

EngineState Engine::state() const {
    const std::lock_guard lock(mutex_);
    if (broken_) return {.phase = EngineState::Phase::failed, .progress = 1, .error = broken_};
    return {.phase = stopping_ ? EngineState::Phase::stopping : EngineState::Phase::ready,
            .progress = 1,
            .error = {}};
}

EngineMetrics Engine::metrics() const {
    const std::lock_guard lock(mutex_);
    EngineMetrics metrics = metrics_;
    metrics.n_requests_waiting = n_waiting_;
    return metrics;
}

std::uint32_t Engine::max_sequence_tokens() const {
    return std::min(info_->context_length, model_->n_pages() * kPage + kPage - 1);
}

Result<> Engine::check_request(const GenerationRequest& request) const {
    if (request.prompt.empty()) return Error{ErrorCode::invalid_argument, "prompt: no tokens"};
    if (request.max_tokens == 0)
        return Error{ErrorCode::invalid_argument, "max_tokens: 0, expected at least 1"};
    for (const TokenId id : request.prompt) {
        if (id >= info_->n_vocab) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("prompt: token {}, the vocabulary has {}", id, info_->n_vocab)};
        }
    }
    for (const auto& [id, bias] : request.sampling.logit_bias) {
        if (id >= info_->n_vocab) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("logit_bias: token {}, the vocabulary has {}", id, info_->n_vocab)};
        }
    }
    const std::uint32_t room = max_sequence_tokens();
    if (request.prompt.size() >= room) {
        return Error{
            ErrorCode::too_large,
            fmt::format(
                "the prompt has {} tokens, the context holds {} and one must be left to answer",
                request.prompt.size(), room)};
    }
    return {};
}

Result<RequestId> Engine::submit(GenerationRequest request, std::shared_ptr<GenerationSink> sink) {
    KVASIR_TRY_VOID(check_request(request));
    RequestId id{};
    {
        const std::lock_guard lock(mutex_);
        if (broken_) return *broken_;
        if (stopping_) return Error{ErrorCode::unsupported, "the daemon is stopping"};
        if (n_waiting_ >= options_.max_queue) {
            return Error{ErrorCode::exhausted,
                         fmt::format("{} requests are waiting already", n_waiting_)};
        }
        id = RequestId{next_id_++};
        submitted_.push_back(
            {id, std::move(request), std::move(sink), std::chrono::steady_clock::now()});
        ++n_waiting_;
    }
    wake_.notify_one();
    return id;
}

void Engine::cancel(RequestId id) {
    {
        const std::lock_guard lock(mutex_);
        cancelled_.push_back(id);
    }
    wake_.notify_one();
}

void Engine::run() {
    while (take_orders()) {
        try {
            admit();
            if (!running_.empty()) run_step();
        } catch (const std::bad_alloc&) {
            fail_all({ErrorCode::exhausted, "out of memory"});
        }
        publish_metrics();
    }
    for (const auto& request : running_) finish(*request, FinishReason::cancelled);
    running_.clear();
    for (Submitted& order : waiting_)
        order.sink->on_end({.reason = FinishReason::cancelled, .error = {}});
    for (Submitted& order : submitted_)
        order.sink->on_end({.reason = FinishReason::cancelled, .error = {}});
}

/// Waits until there is something to do; takes new requests and cancellations. False: stop.
bool Engine::take_orders() {
    std::vector<RequestId> cancelled;
    {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] {
            return stopping_ || !submitted_.empty() || !cancelled_.empty() || !waiting_.empty() ||
                   !running_.empty();
        });
        if (stopping_) return false;
        for (Submitted& order : submitted_) waiting_.push_back(std::move(order));
        submitted_.clear();
        cancelled.swap(cancelled_);
    }
    for (const RequestId id : cancelled) {
        const auto queued = std::find_if(waiting_.begin(), waiting_.end(),
                                         [&](const Submitted& order) { return order.id == id; });
        if (queued != waiting_.end()) {
            queued->sink->on_end({.reason = FinishReason::cancelled, .error = {}});
            waiting_.erase(queued);
            const std::lock_guard lock(mutex_);
            --n_waiting_;
        }
        for (const auto& request : running_) {
            if (request->id == id && !request->is_done) finish(*request, FinishReason::cancelled);
        }
    }
    std::erase_if(running_, [](const auto& request) { return request->is_done; });
    return true;
}

void Engine::admit() {
    while (!waiting_.empty() && running_.size() < options_.model.max_sequences) {
        Submitted& order = waiting_.front();
        const auto n_prompt = static_cast<std::uint32_t>(order.request.prompt.size());
        const std::uint32_t max_tokens =
            std::min(order.request.max_tokens, max_sequence_tokens() - n_prompt);
        auto state = SequenceState::begin(
            {*model_, *cache_, *slots_}, DomainId{order.request.domain}, order.request.prompt,
            n_prompt + max_tokens, boot_clock_ms(), KvCache::Lookup::allowed);
        if (state.has_error() && state.error().code == ErrorCode::exhausted && !running_.empty())
            return;  // when one has ended
        Submitted taken = std::move(order);
        waiting_.pop_front();
        {
            const std::lock_guard lock(mutex_);
            --n_waiting_;
        }
        ++counters_.n_requests_total;
        if (state.has_error()) {
            taken.sink->on_end({.reason = FinishReason::error,
                                .error = state.error(),
                                .n_prompt_tokens = n_prompt});
            continue;
        }
        counters_.n_prompt_tokens_total += n_prompt;
        counters_.n_cached_tokens_total += state->n_cached();
        const GenerationRequest& asked = taken.request;
        const std::uint64_t seed = asked.sampling.seed ? *asked.sampling.seed : random_seed();
        Sampler sampler(asked.sampling, model_->shape().n_vocab, seed);
        sampler.accept_prompt(asked.prompt);
        StopMatcher stop(asked.stop);
        std::unique_ptr<RunningRequest> request(
            new RunningRequest{.id = taken.id,
                               .request = std::move(taken.request),
                               .sink = std::move(taken.sink),
                               .state = std::move(*state),
                               .sampler = std::move(sampler),
                               .detokenizer = IncrementalDetokenizer(info_->tokenizer),
                               .stop = std::move(stop),
                               .max_tokens = max_tokens,
                               .submitted = taken.submitted});
        running_.push_back(std::move(request));
    }
}

void Engine::run_step() {
    std::vector<RequestFacts> facts;
    for (const auto& request : running_) {
        // Another request with the same opening may have computed more of it meanwhile.
        if (!request->is_decoding())
            counters_.n_cached_tokens_total += request->state.extend_match(boot_clock_ms());
        facts.push_back(
            {.n_pending = request->state.n_pending(), .is_decoding = request->is_decoding()});
    }
    const BatchLimits& limits = model_->limits();
    const auto plan =
        plan_step(facts, {.max_tokens = limits.max_tokens, .max_sequences = limits.max_sequences},
                  rotation_++);
    std::vector<RunningRequest*> requests;
    std::vector<std::uint32_t> n_tokens;
    for (const StepShare& share : plan) {
        requests.push_back(running_[share.index].get());
        n_tokens.push_back(share.n_tokens);
    }
    const auto computed = compute(requests, n_tokens);
    if (computed.has_error()) {
        log_error("step failed",
                  {{"error", computed.error().message}, {"requests", requests.size()}});
        fail_all(computed.error());
        if (computed.error().code == ErrorCode::device_lost) {
            const std::lock_guard lock(mutex_);
            broken_ = computed.error();
        }
    }
    std::erase_if(running_, [](const auto& request) { return request->is_done; });
}

Result<> Engine::compute(const std::vector<RunningRequest*>& requests,
                         const std::vector<std::uint32_t>& n_tokens) {
    std::vector<SequenceStep> steps;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const bool is_last = n_tokens[i] == requests[i]->state.n_pending();
        KVASIR_TRY(const SequenceStep step,
                   requests[i]->state.prepare(n_tokens[i], is_last ? std::vector{n_tokens[i] - 1}
                                                                   : std::vector<std::uint32_t>{}));
        steps.push_back(step);
    }
    KVASIR_TRY_VOID(model_->step(steps));
    ++counters_.n_steps_total;
    std::size_t row = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        RunningRequest& request = *requests[i];
        const bool has_logits = !steps[i].logits_at.empty();
        if (!model_->is_finite(i)) {
            finish(request, FinishReason::error,
                   Error{ErrorCode::corrupt,
                         "the model's keys or values are not finite numbers for this input"});
        } else {
            request.state.complete(boot_clock_ms());
            if (has_logits) take_token(request, model_->logits(row));
        }
        if (has_logits) ++row;
    }
    return {};
}

void Engine::take_token(RunningRequest& r, std::span<const float> logits) {
    const auto position = static_cast<std::uint32_t>(r.state.tokens().size());
    auto drawn = r.sampler.sample(logits.first(model_->shape().n_vocab), position);
    if (drawn.has_error()) {
        finish(r, FinishReason::error, drawn.error());
        return;
    }
    const TokenId id = *drawn;
    if (r.n_generated == 0) r.first_token = std::chrono::steady_clock::now();
    ++r.n_generated;
    ++counters_.n_generated_tokens_total;
    if (!r.request.ignore_eos && info_->tokenizer->is_end_of_generation(id)) {
        finish(r, FinishReason::stop);
        return;
    }
    r.sampler.accept(id);
    GenerationChunk chunk;
    GeneratedToken token{.id = id, .bytes = {}, .logprob = 0, .top = {}};
    if (r.request.logprobs) {
        token.bytes = info_->tokenizer->token_bytes(id, true);
        token.logprob = logprob(logits, id);
        top_logprobs(logits, r.request.n_top_logprobs, r.top);
        for (const auto& [other, value] : r.top)
            token.top.push_back({other, info_->tokenizer->token_bytes(other, true), value});
    }
    chunk.tokens.push_back(std::move(token));
    StopMatcher::Released released = r.stop.push(r.detokenizer.push(id));
    chunk.text = std::move(released.text);
    r.sink->on_chunk(std::move(chunk));
    if (released.stopped) {
        finish(r, FinishReason::stop);
    } else if (r.n_generated >= r.max_tokens) {
        finish(r, FinishReason::length);
    } else {
        r.state.push_token(id);
    }
}

void Engine::finish(RunningRequest& r, FinishReason reason, std::optional<Error> error) {
    if (reason == FinishReason::stop || reason == FinishReason::length) {
        // Text held back for an undecided character or stop string is released now.
        StopMatcher::Released last = r.stop.push(r.detokenizer.finish());
        GenerationChunk rest{.text = std::move(last.text) + r.stop.finish(), .tokens = {}};
        if (!rest.text.empty()) r.sink->on_chunk(std::move(rest));
    }
    const std::uint32_t n_cached = r.state.n_cached();  // before the sequence lets go
    if (reason == FinishReason::error) {
        r.state.discard();
        log_warn("request failed",
                 {{"request", r.request.request_id}, {"error", error ? error->message : ""}});
    } else {
        r.state.release(boot_clock_ms());
    }
    r.is_done = true;
    const auto now = std::chrono::steady_clock::now();
    const auto first = r.n_generated == 0 ? now : r.first_token;
    r.sink->on_end({.reason = reason,
                    .error = std::move(error),
                    .n_prompt_tokens = static_cast<std::uint32_t>(r.request.prompt.size()),
                    .n_cached_tokens = n_cached,
                    .n_generated_tokens = r.n_generated,
                    .prompt_ms = milliseconds(first - r.submitted),
                    .generate_ms = milliseconds(now - first)});
}

void Engine::fail_all(const Error& error) {
    for (const auto& request : running_) {
        if (!request->is_done) finish(*request, FinishReason::error, error);
    }
    running_.clear();
}

void Engine::publish_metrics() {
    const KvCache::Stats stats = cache_->stats();
    counters_.n_requests_running = running_.size();
    counters_.n_pages_total = stats.n_pages;
    counters_.n_pages_leased = stats.n_leased;
    counters_.n_pages_cached = stats.n_cached;
    counters_.kv_bytes_per_token = static_cast<std::uint64_t>(model_->kv_bytes_per_token());
    counters_.kv_bytes_allocated = model_->kv().allocated_bytes();
    const std::lock_guard lock(mutex_);
    metrics_ = counters_;
}

}  // namespace kvasir
