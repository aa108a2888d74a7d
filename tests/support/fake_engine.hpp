// FakeEngine: a GenerationEngine without a device. One thread gives each running request a token a
// tick, always the same ones.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/engine/generation.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir::testing {

/// Members marked "script" may be set at any time; they hold for requests submitted afterwards.
class FakeEngine final : public GenerationEngine {
public:
    explicit FakeEngine(std::shared_ptr<const ModelInfo> model)
        : model_(std::move(model)), thread_([this] { run(); }) {
        state_.phase = EngineState::Phase::ready;
        state_.progress = 1;
    }

    ~FakeEngine() override {
        {
            const std::lock_guard lock(mutex_);
            quit_ = true;
        }
        changed_.notify_all();
        thread_.join();
        for (Running& one : running_) finish(one, FinishReason::cancelled);
    }

    // Script: what every request generates; it ends with stop when the pieces do, with length at
    // max_tokens.
    void set_pieces(std::vector<std::string> pieces) {
        auto shared = std::make_shared<const std::vector<std::string>>(std::move(pieces));
        const std::lock_guard lock(mutex_);
        pieces_ = std::move(shared);
        endless_ = false;
    }
    /// The same piece for ever.
    void set_endless(std::string piece) {
        const std::lock_guard lock(mutex_);
        pieces_ = std::make_shared<const std::vector<std::string>>(1, std::move(piece));
        endless_ = true;
    }
    void set_pace(std::chrono::microseconds pace) {
        const std::lock_guard lock(mutex_);
        pace_ = pace;
    }
    void set_state(EngineState state) {
        const std::lock_guard lock(mutex_);
        state_ = std::move(state);
    }
    void set_cached_tokens(std::uint32_t n) {
        const std::lock_guard lock(mutex_);
        n_cached_ = n;
    }
    // Script: what submit does instead of taking the request; nullptr: takes it.
    void set_on_submit(std::function<std::optional<Error>(const GenerationRequest&)> hook) {
        const std::lock_guard lock(mutex_);
        on_submit_ = std::move(hook);
    }
    // Script: after so many tokens the request ends with this error.
    void fail_after(std::uint32_t n_tokens, Error error) {
        const std::lock_guard lock(mutex_);
        failure_ = {n_tokens, std::move(error)};
    }

    std::vector<GenerationRequest> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    std::size_t n_running() const {
        const std::lock_guard lock(mutex_);
        return running_.size();
    }
    std::size_t n_cancelled() const {
        const std::lock_guard lock(mutex_);
        return n_cancelled_;
    }

    EngineState state() const override {
        const std::lock_guard lock(mutex_);
        return state_;
    }
    std::shared_ptr<const ModelInfo> model() const override { return model_; }

    Result<RequestId> submit(GenerationRequest request,
                             std::shared_ptr<GenerationSink> sink) override {
        std::function<std::optional<Error>(const GenerationRequest&)> hook;
        {
            const std::lock_guard lock(mutex_);
            hook = on_submit_;
        }
        if (hook)
            if (std::optional<Error> refusal = hook(request)) return std::move(*refusal);
        if (request.prompt.size() >= model_->context_length + (request.pooling ? 1 : 0))
            return Error{ErrorCode::too_large, "prompt: " + std::to_string(request.prompt.size()) +
                                                   " tokens, expected fewer than the context of " +
                                                   std::to_string(model_->context_length)};
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
        const RequestId id{++last_id_};
        running_.push_back(
            {id, std::move(request), std::move(sink), pieces_, endless_, failure_, 0, false});
        changed_.notify_all();
        return id;
    }

    void cancel(RequestId id) override {
        const std::lock_guard lock(mutex_);
        for (Running& one : running_)
            if (one.id == id) one.cancelled = true;
        changed_.notify_all();
    }

    EngineMetrics metrics() const override {
        const std::lock_guard lock(mutex_);
        EngineMetrics m;
        m.n_requests_running = running_.size();
        m.n_requests_total = requests_.size();
        m.n_generated_tokens_total = n_generated_;
        return m;
    }

    Result<> post(std::function<void(CacheControl&)>) override {
        return Error{ErrorCode::unsupported, "engine: no cache to control"};
    }

    static TokenId token_of(std::size_t position) { return static_cast<TokenId>(100 + position); }
    /// What a request with a pooling gets after a tick: of no particular length, never zeros.
    static std::vector<float> embedding_of(const GenerationRequest& request, std::size_t n_values) {
        const std::size_t factor = request.pooling == Pooling::mean ? 5 : 3;
        std::vector<float> values(n_values);
        for (std::size_t i = 0; i < n_values; ++i) {
            const std::size_t mixed = request.prompt.back() + request.prompt.size() + factor * i;
            values[i] = static_cast<float>(mixed % 17) - 8.25F;
        }
        return values;
    }

private:
    struct Failure {
        std::uint32_t after = 0;
        std::optional<Error> error;
    };
    struct Running {
        RequestId id;
        GenerationRequest request;
        std::shared_ptr<GenerationSink> sink;
        std::shared_ptr<const std::vector<std::string>> pieces;
        bool endless = false;
        Failure failure;
        std::uint32_t n_done = 0;
        bool cancelled = false;
    };

    void run() {
        std::unique_lock lock(mutex_);
        while (!quit_) {
            if (running_.empty()) {
                changed_.wait(lock, [&] { return quit_ || !running_.empty(); });
                continue;
            }
            std::list<Running> ended;
            std::vector<std::pair<std::shared_ptr<GenerationSink>, GenerationChunk>> chunks;
            for (auto one = running_.begin(); one != running_.end();) {
                const auto next = std::next(one);
                if (is_over(*one))
                    ended.splice(ended.end(), running_, one);
                else if (one->request.pooling)
                    one->n_done = 1;
                else
                    chunks.emplace_back(one->sink, next_chunk(*one));
                one = next;
            }
            const std::chrono::microseconds pace = pace_;
            lock.unlock();  // as the engine does: a sink may be slow to take its own mutex
            for (auto& [sink, chunk] : chunks) sink->on_chunk(std::move(chunk));
            for (Running& one : ended) end(one);
            lock.lock();
            if (pace.count() > 0) changed_.wait_for(lock, pace, [&] { return quit_; });
        }
    }

    static bool pieces_done(const Running& one) {
        return !one.endless && one.n_done >= one.pieces->size();
    }

    bool is_over(const Running& one) const {
        if (one.request.pooling && one.n_done == 0 && !one.cancelled) return false;
        return one.cancelled || one.n_done >= one.request.max_tokens || pieces_done(one) ||
               (one.failure.error && one.n_done >= one.failure.after);
    }

    GenerationChunk next_chunk(Running& one) {
        const std::string& piece = (*one.pieces)[one.n_done % one.pieces->size()];
        GenerationChunk chunk{piece, {{token_of(one.n_done), {}, 0.0F, {}}}};
        GeneratedToken& token = chunk.tokens.back();
        if (one.request.logprobs) {
            token.bytes = piece;
            token.logprob = -0.25F;
            for (std::uint32_t i = 0; i < one.request.n_top_logprobs; ++i)
                token.top.push_back(
                    {token.id + i, piece + std::string(i, '+'), -0.25F - static_cast<float>(i)});
        }
        ++one.n_done;
        ++n_generated_;
        return chunk;
    }

    void end(Running& one) {
        if (one.cancelled) {
            const std::lock_guard lock(mutex_);
            ++n_cancelled_;
        }
        if (one.cancelled)
            finish(one, FinishReason::cancelled);
        else if (one.failure.error && one.n_done >= one.failure.after)
            finish(one, FinishReason::error);
        else
            finish(one, pieces_done(one) || one.request.pooling ? FinishReason::stop
                                                                : FinishReason::length);
    }

    void finish(Running& one, FinishReason reason) {
        GenerationEnd end;
        end.reason = reason;
        if (reason == FinishReason::error) end.error = one.failure.error;
        end.n_prompt_tokens = static_cast<std::uint32_t>(one.request.prompt.size());
        end.n_cached_tokens = std::min(n_cached_.load(), end.n_prompt_tokens);
        end.n_generated_tokens = one.request.pooling ? 0 : one.n_done;
        if (one.request.pooling && reason == FinishReason::stop)
            end.embedding = embedding_of(one.request, model_->embedding_length);
        end.prompt_ms = 2;
        end.generate_ms = 4;
        one.sink->on_end(std::move(end));
    }

    const std::shared_ptr<const ModelInfo> model_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    EngineState state_;
    std::shared_ptr<const std::vector<std::string>> pieces_ =
        std::make_shared<const std::vector<std::string>>(
            std::vector<std::string>{"Once", " upon", " a", " time", "."});
    bool endless_ = false;
    std::chrono::microseconds pace_{0};
    std::function<std::optional<Error>(const GenerationRequest&)> on_submit_;
    Failure failure_;
    std::atomic<std::uint32_t> n_cached_{0};
    std::vector<GenerationRequest> requests_;
    std::list<Running> running_;
    std::size_t n_cancelled_ = 0;
    std::uint64_t n_generated_ = 0;
    std::uint64_t last_id_ = 0;
    bool quit_ = false;
    std::thread thread_;
};

}  // namespace kvasir::testing
