// A million random operations on KvCache, each compared with the naive model, invariants checked at
// every step.
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/kv_cache.hpp"
#include "tests/cache/allocation_limit.hpp"
#include "tests/cache/cache_model.hpp"
#include "tests/cache/random.hpp"

// Not inlined: g++ 12 would take new and free for a mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t n_bytes) {
    using kvasir::allocations_left;
    if (allocations_left != kvasir::kUnlimited && allocations_left-- <= 0) throw std::bad_alloc();
    if (void* memory = std::malloc(n_bytes == 0 ? 1 : n_bytes)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

using namespace kvasir;

namespace {

constexpr std::uint32_t kPages = 24;
constexpr std::uint32_t kDomains = 3;
constexpr std::size_t kMaxRunning = 5;

/// Reserves that take all, a half, next to nothing; caps at, above and far above them.
ModelGroups random_groups(std::uint64_t seed) {
    Random random(seed);
    ModelGroups groups;
    std::uint32_t n_left = kPages;
    for (std::uint32_t domain = 0; domain + 1 < kDomains; ++domain) {
        const std::uint32_t reserve = random.below(n_left + 1);
        const std::uint32_t cap = reserve + random.below(kPages);
        groups[domain] = {.reserve = reserve, .cap = random.one_in(3) ? kNoCap : cap};
        n_left -= reserve;
    }
    return groups;
}

std::map<DomainId, GroupLimits> by_domain(const ModelGroups& groups) {
    std::map<DomainId, GroupLimits> out;
    for (const auto& [domain, limits] : groups) out[DomainId{domain}] = limits;
    return out;
}

TokenId token_at(const Path& path, std::uint32_t position) {
    return static_cast<TokenId>(path.second[position / kTokensPerPage]) * 100 +
           position % kTokensPerPage;
}

std::uint64_t poor_hash(const NodeKey& key, std::uint64_t) {
    return key.tokens[0] & 1;
}

class Trial {
public:
    Trial(std::uint64_t seed, RetentionPolicy policy, const ModelGroups& groups = {})
        : random_(seed),
          cache_({.n_pages = kPages,
                  .retention = policy,
                  .groups = by_domain(groups),
                  .hash_seed = seed,
                  .hash = seed % 2 == 0 ? xxh3_node_hash : poor_hash}),
          model_(kPages, policy, groups),
          content_(kPages) {
        if (policy == RetentionPolicy::kvasir) model_.choose_victim = [this] { return gone(); };
    }

    void run(int n_operations) {
        for (int i = 0; i < n_operations; ++i) {
            now_ms_ += random_.below(3);
            operate();
            compare();
            if (i % 64 == 0) compare_all();
        }
        running_.clear();
        BOOST_REQUIRE(cache_.stats().n_leased == 0U);
        BOOST_REQUIRE(cache_.stats().n_reserved == 0U);
        cache_.check_invariants();
    }
    int n_begun() const { return next_id_; }

private:
    void operate() {
        const std::uint32_t dice = random_.below(100);
        if (dice < 20 || running_.empty()) return begin();
        const int id = std::next(running_.begin(), random_.below(running_.size()))->first;
        if (dice < 75) return step(id);
        if (dice < 82) return extend(id);
        if (dice < 93) return release(id);
        if (dice < 97) return discard(id);
        if (dice < 99) {
            const std::uint32_t n = random_.below(4);
            const std::uint32_t n_trimmed = cache_.trim(n);
            BOOST_REQUIRE(n_trimmed == model_.trim(n));
            return;
        }
        const std::uint32_t domain = random_.below(kDomains);
        BOOST_REQUIRE(cache_.drop_domain(DomainId{domain}) == model_.drop_domain(domain));
    }

    void begin() {
        if (running_.size() >= kMaxRunning) return;
        ModelSequence sequence;
        sequence.n_prompt = 1 + random_.below(6 * kTokensPerPage);
        sequence.max_tokens = sequence.n_prompt + random_.below(3 * kTokensPerPage);
        sequence.path.first = random_.below(kDomains);
        for (std::size_t i = 0; i <= sequence.max_pages(); ++i)
            sequence.path.second += static_cast<char>('a' + random_.below(i < 2 ? 2 : 3));
        const std::vector<TokenId> prompt = tokens(sequence, 0, sequence.n_prompt);

        fail_to_begin(sequence, prompt);
        auto result =
            cache_.begin(DomainId{sequence.path.first}, prompt, sequence.max_tokens, now_ms_);
        BOOST_REQUIRE(result.has_value() == model_.begin(next_id_, sequence));
        if (!result) {
            const bool too_large = model_.is_too_large(sequence);
            BOOST_REQUIRE(
                (result.error().code == (too_large ? ErrorCode::too_large : ErrorCode::exhausted)));
            return;
        }
        BOOST_REQUIRE(result->n_cached_tokens() == model_.running.at(next_id_).n_tokens);
        running_.emplace(next_id_++, std::move(*result));
    }

    /// Now and then memory runs out at each allocation in turn: an exception, and nothing has
    /// changed.
    void fail_to_begin(const ModelSequence& sequence, const std::vector<TokenId>& prompt) {
        if (!random_.one_in(8)) return;
        for (int n_allowed = 0;; ++n_allowed) {
            try {
                const AllocationLimit limit(n_allowed);
                auto result = cache_.begin(DomainId{sequence.path.first}, prompt,
                                           sequence.max_tokens, now_ms_);
                if (result) forget(std::move(*result), sequence);
                return;
            } catch (const std::bad_alloc&) {
                compare();
            }
        }
    }

    void forget(KvCache::Sequence dropped, const ModelSequence& sequence) {
        dropped.discard();
        BOOST_REQUIRE(model_.begin(-1, sequence));
        model_.discard(-1);
    }

    void step(int id) {
        KvCache::Sequence& sequence = running_.at(id);
        ModelSequence& expected = model_.running.at(id);
        const std::uint32_t n_left = expected.max_tokens - expected.n_tokens;
        const std::uint32_t n_new = random_.below(std::min(n_left, 70U) + 1);
        const std::size_t n_full = (expected.n_tokens + n_new) / kTokensPerPage;
        const std::size_t n_ahead = random_.one_in(5) && n_full < expected.max_pages() ? 1 : 0;
        const std::vector<TokenId> new_tokens = tokens(expected, expected.n_tokens, n_new);
        {
            const AllocationLimit no_allocations(0);  // a step does not allocate
            if (n_full + n_ahead > 0)
                sequence.ensure_page(static_cast<std::uint32_t>(n_full + n_ahead) - 1);
            sequence.append(new_tokens);
        }
        check_reserves([&] { model_.ensure(id, n_full + n_ahead); }, id);
        for (std::size_t i = expected.n_tokens / kTokensPerPage; i < n_full; ++i)
            content_[to_index(sequence.pages()[i])] = expected.prefix(i + 1);
        expected.n_tokens += n_new;
        if (!random_.one_in(4)) commit(id);
    }

    /// No group but the taker's falls below its reserve by what the model does; compare() shows
    /// that the cache did the same.
    template <class Ensure>
    void check_reserves(Ensure ensure, int id) {
        const ModelGroup taker = model_.group_of(model_.running.at(id).path.first);
        std::map<ModelGroup, std::size_t> before;
        const auto n = [&](ModelGroup group) {
            return model_.n_leased(group) + model_.n_cached(group);
        };
        for (const ModelGroup group : model_.groups()) before[group] = n(group);
        ensure();
        for (const ModelGroup group : model_.groups()) {
            if (group == taker) continue;
            BOOST_REQUIRE(n(group) == before[group] || n(group) >= model_.limits(group).reserve);
        }
    }

    void commit(int id) {
        {
            const AllocationLimit no_allocations(0);
            running_.at(id).commit(now_ms_);
        }
        model_.commit(id);
    }

    void extend(int id) {
        const ModelSequence expected = model_.running.at(id);
        if (expected.n_tokens > expected.n_prompt) return;
        const std::size_t n_gained = model_.extend(id);
        BOOST_REQUIRE(running_.at(id).extend_match(tokens(expected, 0, expected.n_prompt),
                                                   now_ms_) == n_gained * kTokensPerPage);
    }

    void release(int id) {
        {
            const AllocationLimit no_allocations(0);
            running_.at(id).release(now_ms_);
        }
        running_.erase(id);
        model_.commit(id);
        model_.discard(id);
    }

    void discard(int id) {
        if (random_.one_in(2)) running_.at(id).discard();
        running_.erase(id);  // the destructor does the same
        model_.discard(id);
    }

    void compare() const {
        cache_.check_invariants();
        const KvCache::Stats stats = cache_.stats();
        BOOST_REQUIRE(stats.n_free == model_.n_free());
        BOOST_REQUIRE(stats.n_cached == model_.n_cached());
        BOOST_REQUIRE(stats.n_reserved == model_.n_reserved());
        for (const ModelGroup group : model_.groups()) {
            const KvCache::GroupUse use =
                cache_.use(group ? cache_.group_of(DomainId{*group}) : kUnlistedGroup);
            BOOST_REQUIRE(use.n_leased == model_.n_leased(group));
            BOOST_REQUIRE(use.n_cached == model_.n_cached(group));
            BOOST_REQUIRE(use.n_reserved == model_.n_reserved(group));
            BOOST_REQUIRE(use.n_leased + use.n_cached <= model_.limits(group).cap);
        }
        BOOST_REQUIRE(stats.n_evicted_for_space == model_.n_evicted_for_space);
        BOOST_REQUIRE(stats.n_sequences == running_.size());
        BOOST_REQUIRE(cache_.tree().n_nodes() == model_.entered.size());
        for (const auto& [id, sequence] : running_) {
            const ModelSequence& expected = model_.running.at(id);
            BOOST_REQUIRE(sequence.n_tokens() == expected.n_tokens);
            BOOST_REQUIRE(sequence.pages().size() == expected.n_ensured);
            // A sequence's full pages hold its own tokens, whoever wrote them.
            bool own = true;
            for (std::size_t i = 0; i < expected.n_tokens / kTokensPerPage; ++i) {
                const Path& content = content_[to_index(sequence.pages()[i])];
                own = own && content.second.size() == i + 1 && starts_with(expected.path, content);
            }
            BOOST_REQUIRE(own);
        }
    }

    /// With equal counts, that each path of the model is found means that the sets are equal.
    void compare_all() const {
        for (const auto& [path, facts] : model_.entered) {
            ModelSequence sequence;
            sequence.path = path;
            const auto n_tokens = static_cast<std::uint32_t>(path.second.size()) * kTokensPerPage;
            const auto chain =
                cache_.tree().match(DomainId{path.first}, tokens(sequence, 0, n_tokens));
            BOOST_REQUIRE(chain.size() == path.second.size());
            BOOST_REQUIRE((content_[to_index(cache_.tree().page(chain.back()))] == path));
        }
    }

    /// Which page goes is the learned policy's affair; that it was allowed to go is not.
    std::optional<Path> gone() const {
        std::optional<Path> deepest;
        for (const auto& [path, facts] : model_.entered)
            if (!holds(path) && (!deepest || path.second.size() > deepest->second.size()))
                deepest = path;
        if (deepest) BOOST_REQUIRE(!model_.is_leased(*deepest) && !model_.has_children(*deepest));
        return deepest;
    }

    bool holds(const Path& path) const {
        ModelSequence sequence;
        sequence.path = path;
        const auto n_tokens = static_cast<std::uint32_t>(path.second.size()) * kTokensPerPage;
        return cache_.tree().match(DomainId{path.first}, tokens(sequence, 0, n_tokens)).size() ==
               path.second.size();
    }

    static std::vector<TokenId> tokens(const ModelSequence& sequence, std::uint32_t first,
                                       std::uint32_t n) {
        std::vector<TokenId> out(n);
        for (std::uint32_t i = 0; i < n; ++i) out[i] = token_at(sequence.path, first + i);
        return out;
    }

    Random random_;
    KvCache cache_;
    CacheModel model_;
    std::vector<Path> content_;  // (kPages): what the device would hold
    std::map<int, KvCache::Sequence> running_;
    int next_id_ = 0;
    std::uint64_t now_ms_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_cache_random)

BOOST_DATA_TEST_CASE(lru_equals_the_model, boost::unit_test::data::xrange(n_seeds(8)), seed) {
    Trial(static_cast<std::uint64_t>(seed), RetentionPolicy::lru).run(100000);
}

BOOST_DATA_TEST_CASE(fifo_equals_the_model, boost::unit_test::data::xrange(n_seeds(3)), seed) {
    Trial(static_cast<std::uint64_t>(seed) + 100, RetentionPolicy::fifo).run(100000);
}

BOOST_DATA_TEST_CASE(the_learned_policy_keeps_every_promise_too,
                     boost::unit_test::data::xrange(n_seeds(4)), seed) {
    Trial(static_cast<std::uint64_t>(seed) + 200, RetentionPolicy::kvasir).run(20000);
}

BOOST_DATA_TEST_CASE(lru_with_reserves_and_caps_equals_the_model,
                     boost::unit_test::data::xrange(n_seeds(24)), seed) {
    Trial trial(static_cast<std::uint64_t>(seed) + 300, RetentionPolicy::lru,
                random_groups(static_cast<std::uint64_t>(seed)));
    trial.run(20000);
    BOOST_TEST(trial.n_begun() > 500);
}

BOOST_DATA_TEST_CASE(the_learned_policy_keeps_reserves_and_caps,
                     boost::unit_test::data::xrange(n_seeds(12)), seed) {
    Trial trial(static_cast<std::uint64_t>(seed) + 400, RetentionPolicy::kvasir,
                random_groups(static_cast<std::uint64_t>(seed) + 50));
    trial.run(10000);
    BOOST_TEST(trial.n_begun() > 250);
}

BOOST_AUTO_TEST_SUITE_END()
