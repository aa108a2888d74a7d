#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <utility>
#include <vector>

#include "cache/kv_cache.hpp"

using namespace kvasir;

namespace {

constexpr DomainId kAlice{1};
constexpr DomainId kBob{2};

using Tokens = std::vector<TokenId>;

Tokens text(std::size_t n, TokenId first = 100) {
    Tokens tokens(n);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// What the engine's step does for the cache: destinations first, then tokens, then commit.
void compute(KvCache::Sequence& sequence, std::span<const TokenId> tokens, std::uint64_t now_ms) {
    const auto n_after = static_cast<std::uint32_t>(sequence.n_tokens() + tokens.size());
    if (n_after >= kTokensPerPage) sequence.ensure_page(n_after / kTokensPerPage - 1);
    sequence.append(tokens);
    sequence.commit(now_ms);
}

/// A whole request: the prompt and then n more tokens. Returns the cached tokens it found.
std::uint32_t run_request(KvCache& cache, DomainId domain, const Tokens& prompt,
                          std::uint64_t now_ms) {
    auto sequence =
        cache.begin(domain, prompt, static_cast<std::uint32_t>(prompt.size()), now_ms).value();
    const std::uint32_t n_cached = sequence.n_cached_tokens();
    compute(sequence, std::span(prompt).subspan(n_cached), now_ms);
    sequence.release(now_ms);
    cache.check_invariants();
    return n_cached;
}

ErrorCode error_of(const Result<KvCache::Sequence>& result) {
    BOOST_REQUIRE(result.has_error());
    return result.error().code;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_cache)

BOOST_AUTO_TEST_CASE(a_second_request_finds_the_pages_of_the_first) {
    KvCache cache({.n_pages = 10});
    BOOST_TEST(run_request(cache, kAlice, text(100), 1) == 0U);
    BOOST_TEST(cache.stats().n_cached == 3U);
    BOOST_TEST(run_request(cache, kAlice, text(100), 2) == 96U);
    BOOST_TEST(run_request(cache, kAlice, text(70) + text(5, 0), 3) == 64U);
    const KvCache::Stats stats = cache.stats();
    BOOST_TEST(stats.n_hits == 2U);
    BOOST_TEST(stats.n_misses == 1U);
    BOOST_TEST(stats.n_tokens_asked == 275U);
    BOOST_TEST(stats.n_tokens_reused == 160U);
    BOOST_TEST(stats.n_reserved == 0U);
}

BOOST_DATA_TEST_CASE(the_page_of_the_last_query_is_never_reused,
                     boost::unit_test::data::xrange(1, 131), n) {
    KvCache cache({.n_pages = 10});
    run_request(cache, kAlice, text(130), 1);
    const auto prompt = text(static_cast<std::size_t>(n));
    BOOST_TEST(run_request(cache, kAlice, prompt, 2) ==
               (static_cast<std::uint32_t>(n) - 1) / kTokensPerPage * kTokensPerPage);
}

BOOST_AUTO_TEST_CASE(a_running_sequence_s_pages_are_found_as_soon_as_they_are_committed) {
    KvCache cache({.n_pages = 10});
    const Tokens prompt = text(100);
    auto first = cache.begin(kAlice, prompt, 100, 1).value();
    compute(first, std::span(prompt).first(64), 1);
    auto second = cache.begin(kAlice, prompt, 100, 2).value();
    BOOST_TEST(second.n_cached_tokens() == 64U);
    BOOST_TEST((first.pages()[1] == second.pages()[1]));
    BOOST_TEST(cache.stats().n_leased == 2U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_page_that_is_not_committed_is_nobody_else_s) {
    KvCache cache({.n_pages = 10});
    const Tokens prompt = text(100);
    auto first = cache.begin(kAlice, prompt, 100, 1).value();
    first.ensure_page(2);
    first.append(prompt);
    BOOST_TEST(cache.begin(kAlice, prompt, 100, 2).value().n_cached_tokens() == 0U);
    first.commit(3);
    BOOST_TEST(cache.begin(kAlice, prompt, 100, 4).value().n_cached_tokens() == 96U);
}

BOOST_AUTO_TEST_CASE(equal_pages_computed_side_by_side_are_stored_once) {
    KvCache cache({.n_pages = 10});
    const Tokens prompt = text(100);
    auto first = cache.begin(kAlice, prompt, 100, 1).value();
    auto second = cache.begin(kAlice, prompt, 100, 1).value();
    compute(first, prompt, 2);
    compute(second, prompt, 2);
    cache.check_invariants();
    BOOST_TEST(std::ranges::equal(first.pages(), second.pages()));
    BOOST_TEST(cache.stats().n_leased == 3U);
    BOOST_TEST(cache.stats().n_duplicates == 3U);
    first.release(3);
    BOOST_TEST(cache.stats().n_leased == 3U);
    second.release(4);
    BOOST_TEST(cache.stats().n_cached == 3U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_trailing_sequence_takes_over_what_the_leader_has_entered) {
    KvCache cache({.n_pages = 7});
    const Tokens prompt = text(128);
    auto leader = cache.begin(kAlice, prompt, 128, 1).value();
    auto follower = cache.begin(kAlice, prompt, 96 + 2, 1);
    BOOST_TEST((error_of(follower) == ErrorCode::invalid_argument));
    const Tokens shorter = text(98);
    auto second = cache.begin(kAlice, shorter, 98, 1).value();
    BOOST_TEST(second.extend_match(shorter, 1) == 0U);
    compute(leader, std::span(prompt).first(64), 2);
    BOOST_TEST(cache.stats().n_reserved == 5U);
    BOOST_TEST(second.extend_match(shorter, 2) == 64U);
    BOOST_TEST(cache.stats().n_reserved == 3U);
    BOOST_TEST(second.n_cached_tokens() == 64U);
    cache.check_invariants();
    compute(second, std::span(shorter).subspan(64, 1), 3);
    compute(leader, std::span(prompt).subspan(64), 3);
    BOOST_TEST(second.extend_match(shorter, 4) == 0U);  // inside a page
    compute(second, std::span(shorter).subspan(65), 5);
    BOOST_TEST(std::ranges::equal(second.pages(), leader.pages().first(3)));
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(extend_match_leaves_the_last_query_its_own_page) {
    KvCache cache({.n_pages = 9});
    const Tokens prompt = text(64);
    auto waiting = cache.begin(kAlice, prompt, 64, 1).value();
    run_request(cache, kAlice, text(100), 1);
    BOOST_TEST(waiting.extend_match(prompt, 2) == 32U);
}

BOOST_AUTO_TEST_CASE(nothing_is_found_across_domains) {
    KvCache cache({.n_pages = 20});
    run_request(cache, kAlice, text(100), 1);
    BOOST_TEST(run_request(cache, kBob, text(100), 2) == 0U);
    BOOST_TEST(cache.stats().n_cached == 6U);
    auto running = cache.begin(kAlice, text(200), 200, 3).value();
    compute(running, std::span<const TokenId>(text(200)).subspan(96), 3);
    BOOST_TEST(run_request(cache, kBob, text(200), 4) == 96U);  // its own
}

BOOST_AUTO_TEST_CASE(pages_go_least_recently_used_first_and_from_the_end) {
    KvCache cache({.n_pages = 6, .retention = RetentionPolicy::lru});
    const Tokens a = text(64, 1000);
    const Tokens b = text(64, 2000);
    const Tokens c = text(64, 3000);
    for (const Tokens& tokens : {a, b, c}) run_request(cache, kAlice, tokens, 1);
    run_request(cache, kAlice, a + text(1), 2);  // a is now the most recent
    run_request(cache, kAlice, text(32, 4000), 3);
    BOOST_TEST(cache.stats().n_evicted_for_space == 1U);  // the second page of b
    BOOST_TEST(cache.tree().match(kAlice, b).size() == 1U);
    BOOST_TEST(cache.tree().match(kAlice, a).size() == 2U);
    run_request(cache, kAlice, text(32, 5000), 4);
    BOOST_TEST(cache.tree().match(kAlice, b).empty());
    BOOST_TEST(cache.tree().match(kAlice, c).size() == 2U);
    run_request(cache, kAlice, text(64, 6000), 5);
    BOOST_TEST(cache.tree().match(kAlice, c).empty());
    BOOST_TEST(cache.tree().match(kAlice, a).size() == 2U);
}

BOOST_AUTO_TEST_CASE(fifo_forgets_the_first_entered_even_if_it_is_in_use_again_and_again) {
    KvCache cache({.n_pages = 2, .retention = RetentionPolicy::fifo});
    run_request(cache, kAlice, text(32, 1000), 1);
    run_request(cache, kAlice, text(32, 2000), 2);
    run_request(cache, kAlice, text(33, 1000), 3);
    run_request(cache, kAlice, text(32, 3000), 4);
    BOOST_TEST(cache.tree().match(kAlice, text(32, 1000)).empty());
    BOOST_TEST(cache.tree().match(kAlice, text(32, 2000)).size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_shared_page_goes_after_everything_that_hangs_on_it) {
    KvCache cache({.n_pages = 4});
    const Tokens opening = text(32);
    run_request(cache, kAlice, opening + text(32, 1000), 1);
    run_request(cache, kAlice, opening + text(32, 2000), 2);
    BOOST_TEST(cache.trim(1) == 1U);
    BOOST_TEST(cache.tree().match(kAlice, opening + text(32, 1000)).size() == 1U);
    BOOST_TEST(cache.trim(1) == 1U);
    BOOST_TEST(cache.tree().match(kAlice, opening).size() == 1U);
    BOOST_TEST(cache.trim(5) == 1U);
    BOOST_TEST(cache.tree().n_nodes() == 0U);
    BOOST_TEST(cache.stats().n_free == 4U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(what_was_reserved_can_always_be_taken) {
    KvCache cache({.n_pages = 6});
    run_request(cache, kAlice, text(192, 5000), 1);  // fills the pool with cached pages
    const Tokens prompt = text(40);
    auto first = cache.begin(kAlice, prompt, 96, 2).value();
    auto second = cache.begin(kBob, prompt, 96, 2).value();
    BOOST_TEST(cache.stats().n_cached ==
               6U);  // reserved is not yet taken: the old pages still serve
    BOOST_TEST((error_of(cache.begin(kBob, prompt, 40, 3)) == ErrorCode::exhausted));
    cache.check_invariants();
    compute(first, prompt, 3);
    compute(second, prompt, 3);
    compute(first, text(56, 1), 4);
    compute(second, text(56, 1), 4);
    BOOST_TEST(cache.stats().n_leased == 6U);
    cache.check_invariants();
    first.release(5);
    BOOST_TEST(cache.begin(kBob, text(96, 7000), 96, 6).has_value());
}

BOOST_AUTO_TEST_CASE(what_a_sequence_does_not_use_of_its_reservation_comes_back) {
    KvCache cache({.n_pages = 4});
    const Tokens prompt = text(40);
    auto first = cache.begin(kAlice, prompt, 128, 1).value();
    compute(first, prompt, 1);
    BOOST_TEST((error_of(cache.begin(kBob, prompt, 40, 2)) == ErrorCode::exhausted));
    first.release(3);
    BOOST_TEST(cache.stats().n_reserved == 0U);
    BOOST_TEST(cache.begin(kBob, prompt, 40, 4).has_value());
}

BOOST_AUTO_TEST_CASE(cached_pages_of_the_match_are_not_promised_twice) {
    KvCache cache({.n_pages = 4});
    run_request(cache, kAlice, text(96), 1);
    auto holder = cache.begin(kBob, text(10), 64, 2).value();  // of four pages two are promised
    const auto result = cache.begin(kAlice, text(97), 97, 3);  // three cached ones would be leased
    BOOST_TEST((error_of(result) == ErrorCode::exhausted));
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_sequences == 1U);
    BOOST_TEST(cache.begin(kAlice, text(65), 65, 3).value().n_cached_tokens() == 64U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_sequence_larger_than_the_pool_is_refused_for_good) {
    KvCache cache({.n_pages = 4});
    BOOST_TEST((error_of(cache.begin(kAlice, text(10), 160, 1)) == ErrorCode::too_large));
    BOOST_TEST(
        cache.begin(kAlice, text(10), 159, 1).has_value());  // four full pages and an open one
    BOOST_TEST((error_of(cache.begin(kAlice, text(10), 0xffffffffU, 1)) == ErrorCode::too_large));
}

BOOST_AUTO_TEST_CASE(an_empty_prompt_and_a_limit_below_the_prompt_are_refused) {
    KvCache cache({.n_pages = 4});
    BOOST_TEST((error_of(cache.begin(kAlice, {}, 10, 1)) == ErrorCode::invalid_argument));
    BOOST_TEST((error_of(cache.begin(kAlice, text(10), 9, 1)) == ErrorCode::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_failed_sequence_leaves_only_what_it_had_committed) {
    KvCache cache({.n_pages = 8});
    const Tokens prompt = text(100);
    auto sequence = cache.begin(kAlice, prompt, 130, 1).value();
    compute(sequence, std::span(prompt).first(40), 1);
    sequence.ensure_page(2);
    sequence.append(std::span(prompt).subspan(40));
    sequence.discard();
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_cached == 1U);
    BOOST_TEST(cache.stats().n_free == 7U);
    BOOST_TEST(cache.stats().n_reserved == 0U);
    BOOST_TEST(cache.stats().n_sequences == 0U);
    BOOST_TEST(run_request(cache, kAlice, prompt, 2) == 32U);
}

BOOST_AUTO_TEST_CASE(release_enters_what_is_full) {
    KvCache cache({.n_pages = 8});
    const Tokens prompt = text(70);
    auto sequence = cache.begin(kAlice, prompt, 70, 1).value();
    sequence.ensure_page(1);
    sequence.append(prompt);
    sequence.release(2);
    BOOST_TEST(cache.stats().n_cached == 2U);
}

BOOST_AUTO_TEST_CASE(moving_a_sequence_moves_its_hold) {
    KvCache cache({.n_pages = 8});
    const Tokens prompt = text(70);
    auto first = cache.begin(kAlice, prompt, 70, 1).value();
    KvCache::Sequence second = std::move(first);
    compute(second, prompt, 1);
    auto third = cache.begin(kBob, prompt, 70, 1).value();
    third = std::move(second);  // Bob's goes
    BOOST_TEST(cache.stats().n_sequences == 1U);
    BOOST_TEST(third.n_tokens() == 70U);
    BOOST_TEST(third.pages().size() == 2U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(without_reuse_nothing_is_found_and_nothing_stays) {
    KvCache cache({.n_pages = 8, .reuse = false});
    BOOST_TEST(run_request(cache, kAlice, text(100), 1) == 0U);
    BOOST_TEST(cache.stats().n_free == 8U);
    BOOST_TEST(run_request(cache, kAlice, text(100), 2) == 0U);
}

BOOST_AUTO_TEST_CASE(a_request_may_refuse_cached_pages_and_still_enter_its_own) {
    KvCache cache({.n_pages = 8});
    const Tokens prompt = text(100);
    run_request(cache, kAlice, text(64), 1);
    auto sequence = cache.begin(kAlice, prompt, 100, 2, KvCache::Lookup::refused).value();
    BOOST_TEST(sequence.n_cached_tokens() == 0U);
    BOOST_TEST(sequence.extend_match(prompt, 2) == 0U);
    compute(sequence, prompt, 2);
    sequence.release(2);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_cached == 3U);
}

BOOST_AUTO_TEST_CASE(trim_and_drop_all_spare_what_runs) {
    KvCache cache({.n_pages = 8});
    run_request(cache, kBob, text(64), 1);
    const Tokens prompt = text(100);
    auto running = cache.begin(kAlice, prompt, 100, 1).value();
    compute(running, prompt, 1);
    BOOST_TEST(cache.drop_all() == 2U);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_leased == 3U);
    BOOST_TEST(cache.stats().n_evicted_by_request == 2U);
    running.release(2);
    BOOST_TEST(cache.drop_all() == 3U);
    BOOST_TEST(cache.stats().n_free == 8U);
}

BOOST_AUTO_TEST_CASE(drop_domain_drops_its_trees_and_no_other) {
    KvCache cache({.n_pages = 16});
    run_request(cache, kAlice, text(32) + text(64, 1000), 1);
    run_request(cache, kBob, text(64), 2);
    run_request(cache, kAlice, text(32) + text(32, 2000), 3);
    auto running = cache.begin(kAlice, text(33), 33, 4).value();
    BOOST_TEST(cache.drop_domain(kAlice) == 3U);
    cache.check_invariants();
    BOOST_TEST(cache.tree().match(kAlice, text(32)).size() == 1U);
    BOOST_TEST(cache.tree().match(kBob, text(64)).size() == 2U);
    running.release(5);
    BOOST_TEST(cache.drop_domain(kAlice) == 1U);
    BOOST_TEST(cache.drop_domain(DomainId{77}) == 0U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(
    how_often_a_page_was_asked_for_outlives_its_eviction_but_not_its_owner_s_wish) {
    KvCache cache({.n_pages = 16});
    const Tokens prompt = text(100);
    const auto n_hits = [&] {
        return cache.facts(cache.tree().match(kAlice, prompt).front()).n_hits;
    };
    run_request(cache, kAlice, prompt, 1);
    BOOST_TEST(n_hits() == 0U);
    run_request(cache, kAlice, prompt, 2);
    BOOST_TEST(n_hits() == 1U);
    cache.drop_all();
    run_request(cache, kAlice, prompt, 3);
    BOOST_TEST(n_hits() == 2U);
    cache.drop_domain(kAlice);
    run_request(cache, kAlice, prompt, 4);
    BOOST_TEST(n_hits() == 0U);
}

BOOST_AUTO_TEST_CASE(facts_tell_a_conversation_that_goes_on_from_a_new_one) {
    KvCache cache({.n_pages = 16});
    const Tokens prompt = text(64);
    const auto facts = [&](std::size_t page) {
        return cache.facts(cache.tree().match(kAlice, prompt + text(32, 500)).at(page));
    };
    run_request(cache, kAlice, prompt, 1);
    BOOST_TEST(facts(0).last_n_known == 0U);
    BOOST_TEST(facts(0).last_n_pages == 2U);
    run_request(cache, kAlice, prompt + text(33, 500), 7);
    BOOST_TEST(facts(0).last_n_known == 2U);
    BOOST_TEST(facts(2).last_n_known == 2U);
    BOOST_TEST(facts(2).last_n_pages == 3U);
    BOOST_TEST(facts(2).depth == 2U);
    BOOST_TEST(facts(2).last_use_ms == 7U);
}

BOOST_AUTO_TEST_CASE(results_are_right_when_every_hash_collides) {
    KvCache cache(
        {.n_pages = 64, .hash = [](const NodeKey&, std::uint64_t) -> std::uint64_t { return 1; }});
    for (TokenId i = 0; i < 10; ++i) run_request(cache, kAlice, text(32) + text(70, i * 1000), i);
    for (TokenId i = 0; i < 10; ++i)
        BOOST_TEST(run_request(cache, kAlice, text(32) + text(70, i * 1000), 20) == 96U);
    BOOST_TEST(run_request(cache, kBob, text(32) + text(70, 1000), 30) == 0U);
}

BOOST_AUTO_TEST_CASE(a_sequence_shorter_than_a_page_needs_no_page) {
    KvCache cache({.n_pages = 0});
    auto sequence = cache.begin(kAlice, text(10), 31, 1).value();
    sequence.append(text(31));
    sequence.release(1);
    cache.check_invariants();
}

BOOST_AUTO_TEST_SUITE_END()
