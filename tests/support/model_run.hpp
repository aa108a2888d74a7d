// ModelRun: a model stepped by hand, as a test's plan says: chunks, decode steps, company in the
// batch, reuse. Keeps every row of logits, so that two ways to the same tokens can be compared bit
// by bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/base/check.hpp"
#include "daemon/engine/sequence_state.hpp"
#include "daemon/model/model.hpp"
#include "tests/support/gpu_fixture.hpp"

namespace kvasir::test {

using Tokens = std::vector<TokenId>;
using Rows = std::map<std::uint32_t, std::vector<float>>;  // position -> (n_vocab) logits

/// How the tokens of a sequence are cut into steps.
struct Plan {
    std::uint32_t chunk = 64;
    std::uint32_t decode_from = UINT32_MAX;  // from this position on, one token a step
};

/// One sequence on its way, and the logits it has given.
struct Job {
    SequenceState state;
    Plan plan;
    Rows rows;
    bool last_row_only = false;  // of each step; else all
    bool finite = true;          // no page so far held a NaN or an infinity

    bool done() const { return state.n_pending() == 0; }
    std::uint32_t n_next() const {
        const std::uint32_t begin = state.n_computed();
        if (begin >= plan.decode_from) return 1;
        return std::min({plan.chunk, state.n_pending(), plan.decode_from - begin});
    }
};

inline TokenId argmax(std::span<const float> row) {
    return static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
}

/// Pseudo-random tokens below n_vocab.
inline Tokens random_tokens(std::size_t n, std::uint32_t n_vocab, std::uint64_t seed) {
    Tokens tokens(n);
    for (TokenId& token : tokens) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        token = static_cast<TokenId>((seed >> 33U) % n_vocab);
    }
    return tokens;
}

/// Empty where every row of `got` has the bits of `expected`'s row of the same position; else the
/// first difference.
inline std::string difference(const Rows& got, const Rows& expected) {
    if (got.empty()) return "no rows at all";
    for (const auto& [position, row] : got) {
        const auto other = expected.find(position);
        if (other == expected.end())
            return fmt::format("position {}: nothing to compare with", position);
        if (other->second.size() != row.size())
            return fmt::format("position {}: sizes differ", position);
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (std::memcmp(&row[i], &other->second[i], sizeof(float)) == 0) continue;
            return fmt::format("position {}, logit {}: {:a}, expected {:a}", position, i, row[i],
                               other->second[i]);
        }
    }
    return "";
}

struct RunNeeds {
    std::uint32_t max_sequences = 4;
    std::uint32_t step_tokens = 256;
    std::uint32_t context = 0;
    std::uint64_t kv_budget_bytes = 0;
    std::uint32_t sinks = 0;
    std::uint32_t recent = 0;
    std::uint32_t n_pages = 0;  // of the cache; 0: all that the model has
    bool rolls = true;          // where the model has a window
    std::string kv_overrides;   // "0=f16,3-4=int8"
    bool validation = true;
    std::optional<std::uint32_t> min_sharers;  // see ModelOptions
};

/// On the device of all suites, small.
inline Result<std::unique_ptr<Model>> load_model(const std::filesystem::path& path) {
    ModelOptions options;
    options.path = path;
    options.max_sequences = 2;
    options.step_tokens = 64;
    options.shared_device = gpu::Gpu::get().device;
    return Model::load(options, {});
}

class ModelRun {
public:
    ModelRun(const std::filesystem::path& path, std::string_view kv,
             const RunNeeds& needs = RunNeeds{}) {
        ModelOptions options;
        options.path = path;
        if (needs.validation) options.shared_device = gpu::Gpu::get().device;
        options.kv = parse_kv_formats(kv).value();
        options.kv_overrides = parse_kv_overrides(needs.kv_overrides).value();
        options.context = needs.context;
        options.sinks = needs.sinks;
        options.recent = needs.recent;
        options.max_sequences = needs.max_sequences;
        options.step_tokens = needs.step_tokens;
        options.max_logit_rows = needs.step_tokens;
        options.kv_budget_bytes = needs.kv_budget_bytes;
        options.min_sharers = needs.min_sharers;
        model_ = std::move(Model::load(options, {}).value());
        KvCache::Options cache{.n_pages = model_->n_pages()};
        if (needs.n_pages > 0) cache.n_pages = needs.n_pages;
        if (needs.rolls) roll_pages(cache, *model_);
        cache_ = std::make_unique<KvCache>(cache);
        slots_ = std::make_unique<OpenSlots>(model_->n_open_slots());
    }

    Model& model() { return *model_; }
    KvCache& cache() { return *cache_; }
    OpenSlots& slots() { return *slots_; }

    /// max_tokens 0: the prompt's.
    Job begin(std::span<const TokenId> tokens, const Plan& plan, std::uint32_t max_tokens = 0,
              KvCache::Lookup lookup = KvCache::Lookup::allowed) {
        const auto n = std::max(static_cast<std::uint32_t>(tokens.size()), max_tokens);
        auto state =
            SequenceState::begin({*model_, *cache_, *slots_}, DomainId{0}, tokens, n, 0, lookup);
        return Job{.state = std::move(state.value()), .plan = plan, .rows = {}};
    }

    /// One step of every job that has tokens left, in this order. A job that fills a page with a
    /// NaN ends there.
    void step(std::span<Job* const> jobs) {
        std::vector<SequenceStep> steps;
        std::vector<Job*> stepped;
        std::vector<std::vector<std::uint32_t>> wanted;
        for (Job* job : jobs) {
            if (job->done() || !job->finite) continue;
            const std::uint32_t n = job->n_next();
            std::vector<std::uint32_t> rows;
            for (std::uint32_t i = job->last_row_only ? n - 1 : 0; i < n; ++i) rows.push_back(i);
            wanted.push_back(rows);
            steps.push_back(job->state.prepare(n, std::move(rows)).value());
            stepped.push_back(job);
        }
        KVASIR_CHECK(!steps.empty(), "a step has work");
        auto done = model_->step(steps);
        KVASIR_CHECK(done.has_value(), "the device runs the step");
        std::size_t row = 0;
        for (std::size_t i = 0; i < stepped.size(); ++i) {
            Job& job = *stepped[i];
            const std::uint32_t begin = job.state.n_computed();
            for (const std::uint32_t index : wanted[i]) {
                const auto logits = model_->logits(row++);
                job.rows[begin + index].assign(logits.begin(), logits.end());
            }
            job.finite = model_->is_finite(i);
            if (job.finite) {
                job.state.complete(0);
            } else {
                job.state.discard();
            }
        }
    }

    void finish(std::initializer_list<Job*> jobs) {
        const std::vector<Job*> all(jobs);
        const auto open = [](const Job* job) { return !job->done() && job->finite; };
        while (std::any_of(all.begin(), all.end(), open)) step(all);
    }

    /// Logits of every position, computed cold and alone; nothing stays in the cache.
    Rows cold(std::span<const TokenId> tokens, const Plan& plan = Plan{}) {
        cache_->drop_all();
        Job job = begin(tokens, plan, 0, KvCache::Lookup::refused);
        finish({&job});
        KVASIR_CHECK(job.finite, "the test's model is finite");
        job.state.release(0);
        cache_->drop_all();
        return std::move(job.rows);
    }

private:
    // Destroyed in reverse.
    std::unique_ptr<Model> model_;
    std::unique_ptr<KvCache> cache_;
    std::unique_ptr<OpenSlots> slots_;
};

}  // namespace kvasir::test
