// Random operations on KvCache and Holders, with and without a host tier that now and then loses
// pages, each compared with the naive model, invariants checked at every step.
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cctype>
#include <iterator>
#include <limits>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/cache/allocation_limit.hpp"
#include "tests/cache/holders_compared.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

namespace {

constexpr std::uint32_t kPages = 24;
constexpr std::size_t kMaxRunning = 5;
constexpr Holders::Limits kLimits{.n_context_branches = 3, .n_per_domain = 3};

class Trial : HoldersCompared {
public:
    Trial(std::uint64_t seed, RetentionPolicy policy, std::uint32_t n_host,
          const HoldersModel::Groups& groups = {})
        : HoldersCompared(kPages, n_host, policy, kLimits, seed, groups), random_(seed) {}

    void run(int n_operations) {
        for (int i = 0; i < n_operations; ++i) {
            now_ms_ += random_.one_in(50) ? random_.below(200) : random_.below(3);
            operate();
            compare();
            if (i % 16 == 0) compare_holders();
        }
        if (!model_.has_groups()) check_that_all_happened();
        BOOST_TEST(next_id_ > n_operations / 100);
        while (!running_.empty()) discard(running_.begin()->first);
        while (!model_.holders.empty()) end(HolderKey(model_.holders.begin()->first));
        constexpr auto kAlways = std::numeric_limits<std::uint64_t>::max();
        const KvCache::Freed freed = cache_.expire_anonymous(kAlways);
        BOOST_REQUIRE(freed.n_pages == model_.expire_anonymous(kAlways));
        compare();
        BOOST_REQUIRE(cache_.stats().n_free == kPages);
        BOOST_REQUIRE(cache_.stats().n_on_host == 0U);
        BOOST_REQUIRE(cache_.claims().n_branches() == 0U);
        BOOST_REQUIRE(cache_.domains().empty());
    }

private:
    // ---- operations ----

    void operate() {
        const std::uint32_t dice = random_.below(100);
        if (dice < 18) return begin();
        if (dice < 30) return change_holder(dice);
        if (dice < 40) return change_cache(dice);
        if (running_.empty()) return begin();
        const int id = std::next(running_.begin(), random_.below(running_.size()))->first;
        if (dice < 75) return step(id);
        if (dice < 80) return extend(id);
        if (dice < 96) return finish(id);
        discard(id);
    }

    void change_holder(std::uint32_t dice) {
        if (dice == 18) return end_context();
        if (dice == 19 || model_.holders.empty()) {
            BOOST_REQUIRE(holders_.expire(now_ms_).n_pages == model_.expire(now_ms_));
            return detach_ended();
        }
        auto& [key, expected] =
            *std::next(model_.holders.begin(), random_.below(model_.holders.size()));
        Holder& holder = find(key);
        if (dice == 20) return end(HolderKey(key));
        if (holder.kind == HolderKind::prefix) {
            if (dice < 26) return pin(key);
            cache_.unpin_branch(holder.branches.empty() ? kNoBranch : holder.branches[0].id);
            expected.is_pinned = false;
            model_.settle();
            return;
        }
        if (dice < 25) {
            const std::string context = random_context();
            const auto freed = holders_.change_context(holder, context);
            BOOST_REQUIRE(freed.n_pages == model_.change_context(expected, context));
        } else if (dice < 27) {
            const std::uint32_t n_tokens = random_.below(8 * kTokensPerPage);
            const auto freed = holders_.truncate(holder, n_tokens);
            BOOST_REQUIRE(freed.n_pages == model_.truncate(expected, n_tokens));
        }
    }

    void change_cache(std::uint32_t dice) {
        if (dice < 33) {
            const std::uint32_t n = random_.below(4);
            const std::size_t n_idle = model_.pages.size() - model_.n_leased();
            BOOST_REQUIRE(cache_.trim(n) == std::min<std::size_t>(n, n_idle));
            check_gone(std::min<std::size_t>(n, n_idle), n_host_ == 0);
            return;
        }
        if (dice == 33) {
            const DomainId domain = random_domain();
            const std::uint32_t n = random_.one_in(2) ? 1 + random_.below(3) : kPages + n_host_;
            const std::size_t n_there = model_.droppable(domain).size();
            const std::uint32_t n_dropped = cache_.drop_domain(domain, n);
            BOOST_REQUIRE(n_dropped == std::min<std::size_t>(n, n_there));
            for (const PageName& name : check_gone(n_dropped, false))
                BOOST_REQUIRE((name.domain == domain));
            return;
        }
        if (dice < 36) {
            const std::uint64_t age = random_.below(2500);
            const std::uint64_t before = now_ms_ > age ? now_ms_ - age : 0;
            BOOST_REQUIRE(cache_.expire_anonymous(before).n_pages ==
                          model_.expire_anonymous(before));
            return;
        }
        const std::size_t n_before = model_.n_on_host();
        const AllocationLimit no_allocations(0);
        const std::uint32_t n_saved = cache_.save_all();
        BOOST_REQUIRE(cache_.stats().n_on_host == n_before + n_saved);
    }

    void begin() {
        if (running_.size() >= kMaxRunning) return;
        ModelRun run;
        run.domain = random_domain();
        run.n_prompt = 1 + random_.below(6 * kTokensPerPage);
        run.max_tokens = run.n_prompt + random_.below(3 * kTokensPerPage);
        for (std::size_t i = 0; i <= run.max_pages(); ++i)
            run.text += static_cast<char>('a' + random_.below(i < 2 ? 2 : 3));
        if (!random_.one_in(3) && !use(run)) return;

        const std::optional<std::string> beginning = model_.beginning(run);
        const bool may_begin = beginning.has_value();
        const std::string reusable = beginning.value_or("");
        const bool is_too_large = model_.is_too_large(run);
        const OnDevice before = on_device();
        const bool had_orphans = model_.has_orphans();
        model_.seen_ms = now_ms_;
        const int n_failed = mover_.n_failed;
        const std::vector<TokenId> prompt = tokens(run, 0, run.n_prompt);
        auto result =
            whole([&] { return cache_.begin(run.domain, prompt, run.max_tokens, now_ms_); });
        BOOST_REQUIRE(result.has_value() == may_begin);
        if (!may_begin) {
            BOOST_REQUIRE((result.error().code ==
                           (is_too_large ? ErrorCode::too_large : ErrorCode::exhausted)));
            return;
        }
        run.path = reusable.substr(0, result->n_cached_tokens() / kTokensPerPage);
        BOOST_REQUIRE((run.path == reusable || mover_.n_failed > n_failed));
        run.n_tokens = static_cast<std::uint32_t>(run.path.size()) * kTokensPerPage;
        run.n_ensured = run.path.size();
        check_miss(run, result->miss());
        model_.running[next_id_] = run;
        check_gone(n_host_ == 0 ? std::optional<std::size_t>(0) : std::nullopt, n_host_ == 0);
        check_reserves(before, run.domain, had_orphans);
        if (run.holder) join(*run.holder, *result, model_.running.at(next_id_));
        running_.emplace(next_id_++, std::move(*result));
    }

    /// A holder for the run, new or not. False: there is no place for one more.
    bool use(ModelRun& run) {
        const auto kind = HolderKind{static_cast<HolderKind>(random_.below(3))};
        // Only prefixes are common.
        if (run.domain == kCommonDomain && kind != HolderKind::prefix) return true;
        const HolderKey key{kind, run.domain,
                            std::string(1, static_cast<char>('p' + random_.below(5)))};
        const bool is_new = !model_.holders.contains(key);
        const auto holder = holders_.use(kind, run.domain, std::get<2>(key), now_ms_);
        BOOST_REQUIRE(model_.use(key, now_ms_) == holder.has_value());
        if (!holder) return false;
        if (is_new) {
            if (random_.one_in(2)) (*holder)->ttl.idle_ms = 50 + random_.below(2500);
            if (random_.one_in(3)) (*holder)->ttl.absolute_ms = 300 + random_.below(4000);
            model_.holders.at(key).ttl = (*holder)->ttl;
        }
        run.holder = key;
        return true;
    }

    void join(const HolderKey& key, KvCache::Sequence& sequence, ModelRun& run) {
        Holder& holder = find(key);
        sequence.keep(KvCache::Keep::as_claimed);
        run.keeps_as_claimed = true;
        ++holder.n_running;
        ModelHolder& expected = model_.holders.at(key);
        ++expected.n_running;
        if (holder.kind != HolderKind::session) return;
        const std::string context = random_context();
        const auto freed = holders_.change_context(holder, context);
        BOOST_REQUIRE(freed.n_pages == model_.change_context(expected, context));
    }

    void step(int id) {
        KvCache::Sequence& sequence = running_.at(id);
        ModelRun& run = model_.running.at(id);
        const std::uint32_t n_left = run.max_tokens - run.n_tokens;
        const std::uint32_t n_new = random_.below(std::min(n_left, 70U) + 1);
        const std::size_t n_full = (run.n_tokens + n_new) / kTokensPerPage;
        const std::size_t n_ahead = random_.one_in(5) && n_full < run.max_pages() ? 1 : 0;
        const std::vector<TokenId> new_tokens = tokens(run, run.n_tokens, n_new);
        const std::size_t n_ensured = std::max(run.n_ensured, n_full + n_ahead);
        const std::size_t n_wanted = n_ensured - run.n_ensured;
        const std::size_t n_short = model_.n_short(run, n_wanted);
        const OnDevice before = on_device();
        const bool had_orphans = model_.has_orphans();
        {
            const AllocationLimit no_allocations(0);
            if (n_ensured > 0) sequence.ensure_page(static_cast<std::uint32_t>(n_ensured) - 1);
            sequence.append(new_tokens);
        }
        run.n_ensured = n_ensured;
        const auto gone = check_gone(
            n_host_ == 0 ? std::optional<std::size_t>(n_short) : std::nullopt, n_host_ == 0);
        check_reserves(before, run.domain, had_orphans);
        // The host tier drops pages only where it is full.
        BOOST_REQUIRE((gone.empty() || cache_.stats().n_on_host == n_host_));
        for (std::size_t i = run.n_tokens / kTokensPerPage; i < n_full; ++i)
            mover_.device[to_index(sequence.pages()[i])] =
                content(run.domain, run.text.substr(0, i + 1));
        run.n_tokens += n_new;
        if (!random_.one_in(4)) commit(id);
    }

    void commit(int id) {
        const AllocationLimit no_allocations(0);
        running_.at(id).commit(now_ms_);
        allocations_left = kUnlimited;
        model_.seen_ms = now_ms_;
        model_.commit(model_.running.at(id));
    }

    void extend(int id) {
        ModelRun& run = model_.running.at(id);
        if (run.n_tokens > run.n_prompt) return;
        const bool may =
            run.n_ensured == run.path.size() && run.n_tokens == run.path.size() * kTokensPerPage;
        const std::string before = run.path;
        const std::string reusable = may ? model_.extensible(id) : before;
        const int n_failed = mover_.n_failed;
        const std::size_t n_gained =
            running_.at(id).extend_match(tokens(run, 0, run.n_prompt), model_.seen_ms) /
            kTokensPerPage;
        BOOST_REQUIRE(n_gained <= reusable.size() - before.size());
        run.path = reusable.substr(0, before.size() + n_gained);
        if (n_gained > 0) {
            run.n_ensured = run.path.size();
            run.n_tokens = static_cast<std::uint32_t>(run.path.size()) * kTokensPerPage;
        }
        check_gone(n_host_ == 0 ? std::optional<std::size_t>(0) : std::nullopt, n_host_ == 0);
        // What it wanted to fetch may have been lost, or dropped to make room for what it fetched.
        BOOST_REQUIRE(
            (run.path == reusable || mover_.n_failed > n_failed ||
             !model_.pages.contains({run.domain, reusable.substr(0, run.path.size() + 1)})));
    }

    void finish(int id) {
        commit(id);
        const ModelRun run = model_.running.at(id);
        if (run.holder) hold(*run.holder, id);
        {
            const AllocationLimit no_allocations(0);
            running_.at(id).release(now_ms_);
        }
        running_.erase(id);
        model_.release(id);
    }

    /// As the engine does it before a run is released.
    void hold(const HolderKey& key, int id) {
        const ModelRun& run = model_.running.at(id);
        Holder& holder = find(key);
        ModelHolder& expected = model_.holders.at(key);
        --holder.n_running;
        --expected.n_running;
        const bool is_prefix = holder.kind == HolderKind::prefix;
        if (is_prefix) {
            for (const Holder::Branch& branch : holder.branches) cache_.unpin_branch(branch.id);
            expected.is_pinned = false;
        }
        const std::vector<TokenId> all = tokens(run, 0, run.n_tokens);
        whole([&] { holders_.hold(holder, running_.at(id).tip(), all, run.n_prompt, now_ms_); });
        model_.hold(key, run.path, now_ms_);
        if (is_prefix && run.domain == kCommonDomain) pin(key);
    }

    void pin(const HolderKey& key) {
        ModelHolder& expected = model_.holders.at(key);
        const Holder& holder = find(key);
        if (holder.branches.empty()) return;
        const std::string& tip = expected.branches[0].tip;
        bool may = model_.n_pinned() + tip.size() <= kPages / 2;
        HoldersModel::Extra newly_leased;
        for (std::size_t i = 1; i <= tip.size(); ++i) {
            const PageName name(holder.domain, tip.substr(0, i));
            may = may && !model_.pages.at(name).on_host;
            if (!model_.is_leased(name)) ++newly_leased[model_.group_of(name.domain)];
        }
        may = may && model_.fits(newly_leased);
        may = may || expected.is_pinned;
        const auto pinned = whole([&] { return cache_.pin_branch(holder.branches[0].id); });
        BOOST_REQUIRE(pinned.has_value() == may);
        n_pinned_ += may ? 1 : 0;
        expected.is_pinned = may;
    }

    void discard(int id) {
        const ModelRun run = model_.running.at(id);
        if (run.holder) {
            --find(*run.holder).n_running;
            --model_.holders.at(*run.holder).n_running;
        }
        if (random_.one_in(2)) running_.at(id).discard();
        running_.erase(id);  // the destructor does the same
        model_.release(id);
    }

    void end(const HolderKey& key) {
        BOOST_REQUIRE(holders_.end(find(key)).n_pages == model_.end(key));
        detach_ended();
    }

    void end_context() {
        const DomainId domain = random_domain();
        const std::string context(1, static_cast<char>('p' + random_.below(5)));
        BOOST_REQUIRE(holders_.end_context(domain, context).n_pages ==
                      model_.end_context(domain, context));
        detach_ended();
    }

    /// Runs whose holder has ended go on without it.
    void detach_ended() {
        for (auto& [id, run] : model_.running)
            if (run.holder && !model_.holders.contains(*run.holder)) run.holder.reset();
    }

    /// Now and then memory runs out at each allocation in turn: an exception, and nothing has
    /// changed.
    template <typename Operation>
    std::invoke_result_t<Operation> whole(Operation operation) {
        for (int n_allowed = random_.one_in(8) ? 0 : kUnlimited;; ++n_allowed) {
            try {
                const AllocationLimit limit(n_allowed);
                return operation();
            } catch (const std::bad_alloc&) {
                ++n_out_of_memory_;
                cache_.check_invariants();
            }
        }
    }

    void check_that_all_happened() const {
        const KvCache::Stats stats = cache_.stats();
        BOOST_TEST(stats.n_evicted_for_space > 50U);
        BOOST_TEST(stats.n_evicted_by_request > 100U);
        BOOST_TEST(stats.n_evicted_expired > 100U);
        BOOST_TEST(stats.n_evicted_ended > 100U);
        BOOST_TEST(stats.n_duplicates > 100U);
        BOOST_TEST(stats.n_hits > 100U);
        BOOST_TEST(n_pinned_ > 100);
        BOOST_TEST(n_out_of_memory_ > 100);
        BOOST_TEST(n_explained_ > 100);
        if (n_host_ == 0) return;
        BOOST_TEST(stats.n_loaded > 50U);
        BOOST_TEST(mover_.n_failed > 5);
    }

    // ---- small things ----

    DomainId random_domain() {
        const std::uint32_t dice = random_.below(8);
        return dice == 0 ? kCommonDomain : DomainId{1 + dice % 2};
    }
    std::string random_context() {
        const std::uint32_t dice = random_.below(6);
        return dice < 3 ? std::string() : std::string(1, static_cast<char>('p' + dice - 3));
    }
    static std::vector<TokenId> tokens(const ModelRun& run, std::uint32_t first, std::uint32_t n) {
        std::vector<TokenId> out(n);
        for (std::uint32_t i = 0; i < n; ++i)
            out[i] = token_of(run.text[(first + i) / kTokensPerPage], first + i);
        return out;
    }

public:
    int n_exceptions() const { return n_exceptions_; }

private:
    Random random_;
    int next_id_ = 0;
    std::uint64_t now_ms_ = 1;
    int n_pinned_ = 0;
    int n_out_of_memory_ = 0;
};

/// One group with a reserve beside the rest, or two that may leave nothing else.
HoldersModel::Groups random_groups(std::uint64_t seed) {
    Random random(seed);
    HoldersModel::Groups groups;
    const std::uint32_t reserve = random.below(kPages / 2 + 1);
    groups[kAlice] = {.reserve = reserve,
                      .cap = random.one_in(2) ? kNoCap : reserve + 4 + random.below(10)};
    if (random.one_in(2)) groups[kBob] = {.reserve = random.below(kPages - reserve + 1)};
    return groups;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(holders_random)

BOOST_DATA_TEST_CASE(every_operation_equals_the_model, boost::unit_test::data::xrange(n_seeds(5)),
                     seed) {
    Trial(static_cast<std::uint64_t>(seed),
          seed % 2 == 0 ? RetentionPolicy::kvasir : RetentionPolicy::lru, 0)
        .run(45000);
}

BOOST_DATA_TEST_CASE(with_a_host_tier_that_loses_pages_too,
                     boost::unit_test::data::xrange(n_seeds(5)), seed) {
    Trial(static_cast<std::uint64_t>(seed) + 100,
          seed % 2 == 0 ? RetentionPolicy::kvasir : RetentionPolicy::lru,
          static_cast<std::uint32_t>(1 + 2 * seed))
        .run(35000);
}

BOOST_DATA_TEST_CASE(with_reserves_caps_and_common_pages,
                     boost::unit_test::data::xrange(n_seeds(16)), seed) {
    Trial(static_cast<std::uint64_t>(seed) + 200,
          seed % 2 == 0 ? RetentionPolicy::kvasir : RetentionPolicy::lru, 0,
          random_groups(static_cast<std::uint64_t>(seed)))
        .run(8000);
}

BOOST_DATA_TEST_CASE(with_reserves_caps_and_a_host_tier,
                     boost::unit_test::data::xrange(n_seeds(16)), seed) {
    Trial(static_cast<std::uint64_t>(seed) + 300,
          seed % 2 == 0 ? RetentionPolicy::kvasir : RetentionPolicy::lru,
          static_cast<std::uint32_t>(1 + seed),
          random_groups(static_cast<std::uint64_t>(seed) + 70))
        .run(8000);
}

BOOST_AUTO_TEST_SUITE_END()
