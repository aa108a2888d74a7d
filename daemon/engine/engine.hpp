// Engine: the one thread that owns model, cache and running requests. Everything else talks to it
// through GenerationEngine.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "cache/holders.hpp"
#include "cache/kv_cache.hpp"
#include "daemon/engine/cache_controller.hpp"
#include "daemon/engine/disk_tier.hpp"
#include "daemon/engine/generation.hpp"
#include "daemon/engine/host_pages.hpp"
#include "daemon/engine/sequence_state.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

struct EngineOptions {
    ModelOptions model;
    bool auto_kv = false;          // choose model.kv by test, see kv_quality.hpp
    std::uint32_t max_queue = 64;  // that wait for a place; at most half of the background
    Holders::Limits holders;
    std::uint64_t host_budget_bytes = 0;            // of pages in host memory; 0: none
    std::optional<std::uint64_t> anonymous_ttl_ms;  // of pages no one holds by name, since last use
    struct Disk {
        std::filesystem::path dir;
        std::uint64_t budget_bytes = 0;  // 0: no disk tier
        /// What domains are called there; others never reach it.
        std::map<DomainId, std::string> domains;
    };
    Disk disk;
    struct Domain {
        DomainId id{};
        std::string name;
        std::uint64_t reserve_bytes = 0;
        std::uint64_t cap_bytes = 0;  // 0: none
    };
    std::vector<Domain> domains;  // those that others do not share a budget with
    bool scrub = false;           // what is freed is zeroed
    /// A session, prefix or context has ended, or tokens of it are dropped: what else is kept of it
    /// is to go. Engine's thread, or the loading one; must not throw.
    std::function<void(HolderKind kind, DomainId domain, const std::string& name)> on_forget;
};

struct RunningRequest;
class Overtaking;

class Engine final : public GenerationEngine {
public:
    /// Loads the model on the caller's thread, then starts the engine's. Errors: as Model::load;
    /// unsupported (no tokenizer).
    static Result<std::unique_ptr<Engine>> create(const EngineOptions& options,
                                                  const Model::Progress& progress);
    /// shut_down. REQUIRES: that was called already, or this is not the engine's thread.
    ~Engine() override;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    EngineState state() const override;
    std::shared_ptr<const ModelInfo> model() const override { return info_; }
    Result<RequestId> submit(GenerationRequest request,
                             std::shared_ptr<GenerationSink> sink) override;
    void cancel(RequestId id) override;
    EngineMetrics metrics() const override;
    Result<> post(std::function<void(CacheControl&)> task) override;
    void shut_down() override;

private:
    struct Submitted {
        RequestId id;
        GenerationRequest request;
        std::shared_ptr<GenerationSink> sink;
        std::chrono::steady_clock::time_point submitted;
        bool looked_on_disk = false;  // for its session
    };

    explicit Engine(const EngineOptions& options);
    /// What context and page pool leave for one sequence of its domain. Any thread.
    std::uint32_t max_sequence_tokens(const GenerationRequest& request) const;
    /// Prompt and answer; no more than what the domain's cap leaves as well.
    std::uint32_t sequence_tokens(const GenerationRequest& request) const;
    Result<> check_request(const GenerationRequest& request) const;
    void run();
    bool take_orders();
    void leave_queue(Priority priority);
    void name_groups();
    Result<> open_disk(const Model::Progress& progress);
    void forget(const Holder& holder, DropReason reason);
    bool waits_for_disk(Submitted& order);
    void pump_disk();
    void admit();
    void admit_waiting(Overtaking& overtaking, Priority priority);
    std::size_t n_active(std::optional<Priority> priority = {}) const;  // running and not paused
    bool has_place(Priority priority) const;
    RunningRequest* find_pausable(std::optional<GroupId> group = {}) const;
    void pause(RunningRequest& request);
    void resume_paused(Overtaking& overtaking);
    Result<> resume(RunningRequest& request);
    Result<Holder*> find_holder(const GenerationRequest& request);
    Result<> admit_one(Submitted& order);
    std::optional<TailOwner> leave_pages(RunningRequest& request);
    std::optional<TailOwner> hold_pages(RunningRequest& request, FinishReason& reason,
                                        std::optional<Error>& error);
    Result<> hold_prefix(RunningRequest& request);
    void count_hits(RunningRequest& request);
    void end_running(const Holder& holder, bool cancel);
    void detach_context(DomainId domain, const std::string& context);
    void expire();
    void run_step();
    bool waits_for_earlier(std::size_t index) const;
    Result<> compute(const std::vector<RunningRequest*>& requests,
                     const std::vector<std::uint32_t>& n_tokens);
    void take_token(RunningRequest& request, std::span<const float> logits);
    Result<TokenId> draw(RunningRequest& request, std::span<const float> logits);
    void finish_embedding(RunningRequest& request);
    void finish(RunningRequest& request, FinishReason reason, std::optional<Error> error = {});
    void fail_all(const Error& error);
    void scrub();
    void publish_metrics();

    const EngineOptions options_;
    std::shared_ptr<const ModelInfo> info_;

    // Shared, under mutex_.
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Submitted> submitted_;
    std::vector<RequestId> cancelled_;
    std::deque<std::function<void(CacheControl&)>> tasks_;
    std::uint64_t next_id_ = 1;
    std::size_t n_waiting_ = 0;             // submitted_ and waiting_ together
    std::size_t n_waiting_background_ = 0;  // of these
    bool stopping_ = false;
    bool disk_is_ready_ = false;  // to take or give pages
    std::optional<Error> broken_;
    EngineMetrics metrics_;

    // The engine thread's own.
    std::unique_ptr<Model> model_;
    std::unique_ptr<HostPages> host_pages_;  // none without a budget
    std::unique_ptr<OpenSlots> slots_;
    std::unique_ptr<KvCache> cache_;
    std::unique_ptr<Holders> holders_;
    std::vector<std::string> group_names_;  // by the cache's groups
    std::unique_ptr<DiskTier> disk_;        // none without a budget
    std::unique_ptr<CacheController> controller_;
    std::uint64_t next_expire_ms_ = 0;
    std::uint64_t next_sweep_ms_ = 0;
    std::deque<Submitted> waiting_;
    bool can_admit_ = false;  // one of these waits for nothing but a free place
    std::vector<std::unique_ptr<RunningRequest>> running_;  // oldest first, the background last
    std::size_t rotation_ = 0;
    std::vector<float> allowed_logits_;  // (n_vocab) of a request with a constraint
    EngineMetrics counters_;             // published to metrics_ after each step

    std::thread thread_;  // last: everything above is ready when it starts
};

}  // namespace kvasir
