#include "daemon/engine/engine.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <malloc.h>
#include <new>
#include <random>
#include <sys/prctl.h>
#include <time.h>

#include "config/base/check.hpp"
#include "config/base/log.hpp"
#include "daemon/engine/clock.hpp"
#include "daemon/engine/domain_pages.hpp"
#include "daemon/engine/kv_quality.hpp"
#include "daemon/engine/kv_selection.hpp"
#include "daemon/engine/running_request.hpp"
#include "daemon/engine/scheduler.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kPage = shared::kPageTokens;

/// How long the engine may sleep: until something's time is up, or for ever.
std::chrono::milliseconds time_to_expiry(const Holders& holders, std::uint64_t next_sweep_ms) {
    constexpr std::uint64_t kLongestMs = 3'600'000;
    const std::uint64_t at = std::min(holders.next_expiry_ms(), next_sweep_ms);
    const std::uint64_t now = boot_clock_ms();
    const std::uint64_t left = at > now ? at - now : 0;
    return std::chrono::milliseconds(std::min(left + 1, kLongestMs));
}

/// Pages are scrubbed where they lie; this is for what passes through the process: no dump shows
/// it, and memory that the heap takes back is overwritten.
void keep_process_clean() {
    (void)::prctl(PR_SET_DUMPABLE, 0);
    (void)::mallopt(M_PERTURB, 0x5a);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options,
                                               const Model::Progress& progress) {
    std::unique_ptr<Engine> engine(new Engine(options));
    KVASIR_TRY(engine->model_, Model::load(options.model, progress));
    const Model& model = *engine->model_;
    ModelOptions chosen = options.model;
    if (options.auto_kv) {
        KVASIR_TRY_VOID(select_kv_formats(*engine->model_, chosen, {}, progress));
    } else {
        KVASIR_TRY_VOID(check_kv_formats(*engine->model_, chosen, {}, progress));
    }
    log_info("kv cache", {{"format", to_string(model.kv().shape().layers.front())},
                          {"bits_per_element", kv_bits_per_element(model.kv().shape())},
                          {"bytes_per_token", model.kv_bytes_per_token()},
                          {"pages", model.n_pages()},
                          {"page_bytes", model.kv().shape().page_bytes()},
                          {"allocated_bytes", model.kv().allocated_bytes()},
                          {"min_sharers", model.limits().min_sharers},
                          {"device", model.device().name()}});
    if (model.tokenizer() == nullptr) {
        return Error{ErrorCode::unsupported,
                     fmt::format("{}: the file has no tokenizer", options.model.path.string())};
    }
    engine->slots_ = std::make_unique<OpenSlots>(model.n_open_slots());
    KvCache::Options cache{.n_pages = model.n_pages()};
    cache.open_slots = engine->slots_.get();
    roll_pages(cache, model);
    cache.hash_seed = random_seed();
    cache.note_freed = options.scrub;
    if (options.scrub) keep_process_clean();
    if (options.host_budget_bytes > 0) {
        engine->host_pages_ =
            std::make_unique<HostPages>(*engine->model_, options.host_budget_bytes, options.scrub);
        cache.n_host_slots = engine->host_pages_->n_slots();
        cache.mover = engine->host_pages_.get();
        log_info("host tier",
                 {{"pages", cache.n_host_slots}, {"budget_bytes", options.host_budget_bytes}});
    }
    KVASIR_TRY(cache.groups,
               page_limits(options.domains, cache.n_pages, model.kv().shape().page_bytes()));
    engine->cache_ = std::make_unique<KvCache>(cache);
    engine->name_groups();
    engine->holders_ = std::make_unique<Holders>(*engine->cache_, options.holders);
    KVASIR_TRY_VOID(engine->open_disk(progress));
    engine->holders_->on_forget([raw = engine.get()](const Holder& holder, DropReason reason) {
        raw->forget(holder, reason);
    });
    engine->controller_ = std::make_unique<CacheController>(CacheController::Parts{
        .cache = *engine->cache_,
        .holders = *engine->holders_,
        .disk = engine->disk_.get(),
        .page_bytes = model.kv().shape().page_bytes(),
        .group_names = engine->group_names_,
        .now_ms = boot_clock_ms,
        .cancel_running = [raw = engine.get()](Holder& holder) { raw->end_running(holder, true); },
        .detach_context = [raw = engine.get()](
                              DomainId domain,
                              const std::string& context) { raw->detach_context(domain, context); },
        .scrub = [raw = engine.get()] { raw->scrub(); }});
    engine->info_ = std::make_shared<const ModelInfo>(
        ModelInfo{.id = model.name(),
                  .architecture = model.architecture(),
                  .weight_bytes = model.weight_bytes(),
                  .context_length = model.context_length(),
                  .window_length = model.window_length(),
                  .n_vocab = model.tokenizer()->n_vocab(),
                  .embedding_length = model.shape().dim,
                  .pooling = model.is_mean_pooled() ? Pooling::mean : Pooling::last,
                  .n_parameters = model.n_parameters(),
                  .chat_template = model.chat_template(),
                  .tool_template = model.tool_template(),
                  .bos_text = model.bos_text(),
                  .eos_text = model.eos_text(),
                  .tokenizer = model.tokenizer()});
    engine->publish_metrics();
    engine->thread_ = std::thread([raw = engine.get()] { raw->run(); });
    return engine;
}

Engine::Engine(const EngineOptions& options) : options_(options) {}

Engine::~Engine() {
    shut_down();
}

void Engine::shut_down() {
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

std::uint32_t Engine::max_sequence_tokens(const GenerationRequest& request) const {
    return std::min(request.slides ? info_->window_length : info_->context_length,
                    cache_->max_tokens(accounted_domain(request)));
}

Result<> Engine::check_request(const GenerationRequest& request) const {
    if (request.prompt.empty()) return Error{ErrorCode::invalid_argument, "prompt: no tokens"};
    if (request.prefix && request.prompt.size() < kPage) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("the prefix has {} tokens, a page that can be shared {}",
                                 request.prompt.size(), kPage)};
    }
    if (request.prefix && request.pooling)
        return Error{ErrorCode::invalid_argument, "a prefix has no embedding"};
    if (request.max_tokens == 0 && !request.prefix && !request.pooling)
        return Error{ErrorCode::invalid_argument, "max_tokens: 0, expected at least 1"};
    for (const TokenId id : request.prompt) {
        if (id >= info_->n_vocab) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("prompt: token {}, the vocabulary has {}", id, info_->n_vocab)};
        }
    }
    if (request.slides && info_->window_length == 0)
        return Error{ErrorCode::unsupported, "overflow: this model is loaded without sinks"};
    for (const auto& [id, bias] : request.sampling.logit_bias) {
        if (id >= info_->n_vocab) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("logit_bias: token {}, the vocabulary has {}", id, info_->n_vocab)};
        }
    }
    const std::uint32_t room = max_sequence_tokens(request);
    if (request.pooling && request.prompt.size() > room) {
        return Error{ErrorCode::too_large,
                     fmt::format("the input has {} tokens, the context holds {}",
                                 request.prompt.size(), room)};
    }
    if (!request.pooling && request.prompt.size() >= room) {
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
        const bool is_background = request.priority == Priority::background;
        if (n_waiting_ >= options_.max_queue ||
            (is_background && n_waiting_background_ >= options_.max_queue / 2)) {
            return Error{ErrorCode::exhausted,
                         fmt::format("{} requests are waiting already", n_waiting_)};
        }
        id = RequestId{next_id_++};
        submitted_.push_back(
            {id, std::move(request), std::move(sink), std::chrono::steady_clock::now()});
        ++n_waiting_;
        n_waiting_background_ += is_background ? 1 : 0;
    }
    wake_.notify_one();
    return id;
}

Result<> Engine::post(std::function<void(CacheControl&)> task) {
    {
        const std::lock_guard lock(mutex_);
        if (broken_) return *broken_;
        if (stopping_) return Error{ErrorCode::unsupported, "the daemon is stopping"};
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return {};
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
            expire();
            pump_disk();
            admit();
            if (n_active() > 0) run_step();
        } catch (const std::bad_alloc&) {
            fail_all({ErrorCode::exhausted, "out of memory"});
        }
        scrub();
        publish_metrics();
    }
    for (const auto& request : running_) finish(*request, FinishReason::cancelled);
    running_.clear();
    disk_.reset();
    for (Submitted& order : waiting_)
        order.sink->on_end({.reason = FinishReason::cancelled, .error = {}});
    for (Submitted& order : submitted_)
        order.sink->on_end({.reason = FinishReason::cancelled, .error = {}});
}

void Engine::leave_queue(Priority priority) {
    const std::lock_guard lock(mutex_);
    --n_waiting_;
    n_waiting_background_ -= priority == Priority::background ? 1 : 0;
}

/// Waits until there is something to do; takes new requests, cancellations and tasks. False: stop.
bool Engine::take_orders() {
    std::vector<RequestId> cancelled;
    std::deque<std::function<void(CacheControl&)>> tasks;
    {
        std::unique_lock lock(mutex_);
        const auto has_work = [&] {
            return stopping_ || !submitted_.empty() || !cancelled_.empty() || !tasks_.empty() ||
                   disk_is_ready_ || can_admit_ || !running_.empty();
        };
        // Time to live runs out while nobody asks for anything, too.
        if (!has_work()) wake_.wait_for(lock, time_to_expiry(*holders_, next_sweep_ms_), has_work);
        if (stopping_) return false;
        disk_is_ready_ = false;
        for (Submitted& order : submitted_) waiting_.push_back(std::move(order));
        submitted_.clear();
        cancelled.swap(cancelled_);
        tasks.swap(tasks_);
    }
    for (const RequestId id : cancelled) {
        const auto queued = std::find_if(waiting_.begin(), waiting_.end(),
                                         [&](const Submitted& order) { return order.id == id; });
        if (queued != waiting_.end()) {
            queued->sink->on_end({.reason = FinishReason::cancelled, .error = {}});
            leave_queue(queued->request.priority);
            waiting_.erase(queued);
        }
        for (const auto& request : running_) {
            if (request->id == id && !request->is_done) finish(*request, FinishReason::cancelled);
        }
    }
    for (auto& task : tasks) {
        try {
            task(*controller_);
        } catch (const std::bad_alloc&) {
            log_warn("cache request failed", {{"error", "out of memory"}});
        }
        task = nullptr;  // what it holds is an answer that waits to be sent
    }
    std::erase_if(running_, [](const auto& request) { return request->is_done; });
    return true;
}

/// Zeroes whatever has become free since, and with it what the last steps left behind.
void Engine::scrub() {
    if (!options_.scrub) return;
    const std::vector<PageId> pages = cache_->take_freed();
    const std::vector<std::uint32_t> slots = slots_->take_freed();
    if (pages.empty() && slots.empty()) return;
    const auto scrubbed = model_->scrub(pages, slots);
    if (!scrubbed.has_error()) return;
    log_error("scrub failed", {{"error", scrubbed.error().message}});
    fail_all(scrubbed.error());
    const std::lock_guard lock(mutex_);
    broken_ = scrubbed.error();
}

void Engine::publish_metrics() {
    const KvCache::Stats stats = cache_->stats();
    counters_.n_requests_running = n_active();
    counters_.n_requests_paused = running_.size() - counters_.n_requests_running;
    counters_.n_pages_total = stats.n_pages;
    counters_.n_pages_leased = stats.n_leased;
    counters_.n_pages_cached = stats.n_cached;
    counters_.n_pages_claimed = stats.n_held;
    counters_.n_pages_on_host = stats.n_on_host;
    counters_.n_pages_saved_total = stats.n_saved;
    counters_.n_pages_loaded_total = stats.n_loaded;
    counters_.host_bytes_allocated = host_pages_ ? host_pages_->allocated_bytes() : 0;
    counters_.n_sessions = holders_->count(HolderKind::session);
    counters_.n_prefixes = holders_->count(HolderKind::prefix);
    counters_.n_hits_total = stats.n_hits;
    counters_.n_evicted_for_space_total = stats.n_evicted_for_space;
    counters_.n_evicted_by_request_total = stats.n_evicted_by_request;
    counters_.n_evicted_expired_total = stats.n_evicted_expired;
    counters_.n_evicted_ended_total = stats.n_evicted_ended;
    for (std::uint32_t i = 0; i < group_names_.size(); ++i) {
        const KvCache::GroupUse use = cache_->use(GroupId{i});
        counters_.domains[i].bytes =
            (std::uint64_t{use.n_leased} + use.n_cached) * model_->kv().shape().page_bytes();
    }
    counters_.kv_bytes_per_token = static_cast<std::uint64_t>(model_->kv_bytes_per_token());
    counters_.kv_bytes_allocated = model_->kv().allocated_bytes();
    const std::lock_guard lock(mutex_);
    metrics_ = counters_;
}

}  // namespace kvasir
