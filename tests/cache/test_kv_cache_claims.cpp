// Claims on cached pages: pins, what pressure takes first, domains and common prefixes, why a page
// is missing.
#include <boost/test/unit_test.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/cache/holder_fixture.hpp"

using namespace kvasir;

namespace {

using Miss = KvCache::Miss;

struct Small : HolderFixture {
    Small() : HolderFixture(8) {}
    Result<> pin(Holder& holder) { return cache.pin_branch(holder.branches.back().id); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(kv_cache_claims, Small)

// ---- pins ----

BOOST_AUTO_TEST_CASE(pinned_pages_stay_under_any_pressure) {
    Holder& prefix = use(HolderKind::prefix, "p");
    ask("abc", &prefix);
    BOOST_TEST(pin(prefix).has_value());
    BOOST_TEST(pin(prefix).has_value());  // once
    BOOST_TEST(cache.stats().n_pinned == 3U);
    for (const char* text : {"stuvw", "klmno", "abcde", "STUVW", "axyzq"}) {
        ask(text);
        BOOST_TEST(pages().contains("1:abc"));
    }
    BOOST_TEST(cache.trim(8) == 5U);
    BOOST_TEST(cache.drop_domain(kAlice) == 0U);
    BOOST_TEST(cache.expire_anonymous(now_ms + 1).n_pages == 0U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc"}));
    cache.check_invariants();

    cache.unpin_branch(prefix.branches.back().id);
    BOOST_TEST(cache.stats().n_pinned == 0U);
    BOOST_TEST(pages().size() == 3U);  // held, but it may go
    cache.check_invariants();
    BOOST_TEST(cache.trim(1) == 1U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab"}));
}

BOOST_AUTO_TEST_CASE(closing_a_pinned_branch_frees_it) {
    Holder& prefix = use(HolderKind::prefix, "p");
    ask("abc", &prefix);
    ask("ax");
    BOOST_TEST(pin(prefix).has_value());
    BOOST_TEST(holders.end(prefix).n_pages == 2U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ax"}));
    BOOST_TEST(cache.stats().n_pinned == 0U);
    BOOST_TEST(cache.stats().n_leased == 0U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(at_most_half_of_all_pages_are_pinned) {
    Holder& first = use(HolderKind::prefix, "p");
    Holder& second = use(HolderKind::prefix, "q");
    ask("abc", &first);
    ask("xy", &second);
    BOOST_TEST(pin(first).has_value());
    const auto refused = pin(second);
    BOOST_REQUIRE(refused.has_error());
    BOOST_TEST((refused.error().code == ErrorCode::exhausted));
    BOOST_TEST(cache.stats().n_pinned == 3U);
    cache.check_invariants();
    holders.truncate(second, kTokensPerPage);
    BOOST_TEST(pin(second).has_value());
    BOOST_TEST(cache.stats().n_pinned == 4U);
}

BOOST_AUTO_TEST_CASE(what_running_sequences_are_promised_is_not_pinned) {
    Holder& prefix = use(HolderKind::prefix, "p");
    ask("abc", &prefix);
    const Tokens prompt = text_of("x");
    auto running = cache.begin(kAlice, prompt, 6 * kTokensPerPage, now_ms).value();
    BOOST_REQUIRE(pin(prefix).has_error());  // 6 of 8 are promised
    cache.check_invariants();
    running.ensure_page(5);               // takes one of the three
    BOOST_TEST(pin(prefix).has_value());  // what is left
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_pinned == 2U);
}

BOOST_AUTO_TEST_CASE(two_pins_on_one_opening_both_keep_it) {
    Holder& first = use(HolderKind::prefix, "p");
    Holder& second = use(HolderKind::prefix, "q");
    ask("ab", &first);
    ask("ac", &second);
    BOOST_TEST(pin(first).has_value());
    BOOST_TEST(pin(second).has_value());
    holders.end(first);
    BOOST_TEST(cache.trim(8) == 0U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ac"}));
    cache.check_invariants();
}

// ---- pressure ----

BOOST_AUTO_TEST_CASE(eviction_takes_anonymous_pages_before_held_ones) {
    for (const RetentionPolicy policy :
         {RetentionPolicy::kvasir, RetentionPolicy::lru, RetentionPolicy::fifo}) {
        HolderFixture f(8, {}, policy);
        f.ask("abc", "s");  // the oldest of all
        f.ask("xy");
        f.ask("xyz");
        f.ask("abq");
        BOOST_TEST(f.pages().size() == 7U);
        f.ask("uv");  // one page too many
        f.ask("wvut");
        BOOST_TEST(f.cache.stats().n_evicted_for_space > 3U);
        const Paths left = f.pages();
        for (const char* held : {"1:a", "1:ab", "1:abc"}) BOOST_TEST(left.contains(held));
        // Then it takes them, from the end, and the branch knows.
        f.ask("ABCDEFG");
        BOOST_TEST(f.cache.stats().n_held == 1U);
        BOOST_TEST((f.tips(*f.find("s")) == std::vector<std::string>{"1:a"}));
        f.ask("ABCDEFGH");
        BOOST_TEST((f.tips(*f.find("s")) == std::vector<std::string>{""}));
        f.ask("ab", "s");
        BOOST_TEST((f.tips(*f.find("s")) == std::vector<std::string>{"1:ab"}));
    }
}

BOOST_AUTO_TEST_CASE(a_branch_moved_over_pages_that_wait_to_go_holds_them) {
    ask("ab");
    ask("xy");
    ask("uv");
    const BranchId branch = cache.open_branch();
    cache.move_branch(branch, cache.tree().match(kAlice, pages_of("ab")).back());
    cache.check_invariants();
    ask("klmno");  // three too many: of ab, the oldest, none goes
    BOOST_TEST(pages().contains("1:ab"));
    BOOST_TEST((path_of(cache.tip(branch)) == "1:ab"));
    cache.close_branch(branch);
}

BOOST_AUTO_TEST_CASE(pages_that_lose_their_last_name_go_like_anonymous_ones) {
    ask("ab");
    ask("ab", "s");
    ask("xy", "t");
    BOOST_TEST(holders.end(*find("s")).n_pages == 0U);
    cache.check_invariants();
    ask("uvwkl");
    BOOST_TEST(pages() ==
               (Paths{"1:a", "1:x", "1:xy", "1:u", "1:uv", "1:uvw", "1:uvwk", "1:uvwkl"}));
    // And those that get one stay like held ones.
    ask("uvwkl", "s");
    ask("A");
    const Paths left = pages();
    for (const char* held : {"1:xy", "1:uvwkl"}) BOOST_TEST(left.contains(held));
}

// ---- domains ----

BOOST_AUTO_TEST_CASE(domains_do_not_meet) {
    BOOST_TEST(ask("ab", "s") == 0U);
    BOOST_TEST(ask("ab", "s", {}, kBob) == 0U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "2:a", "2:ab"}));
    BOOST_TEST((find("s") != find("s", kBob)));
    BOOST_TEST(cache.n_pages_of(kAlice) == 2U);
    BOOST_TEST(cache.n_pages_of(DomainId{3}) == 0U);
    BOOST_TEST(holders.list(HolderKind::session, kBob).size() == 1U);
    holders.end(*find("s"));
    BOOST_TEST(pages() == (Paths{"2:a", "2:ab"}));
    BOOST_TEST((miss("ab", DomainId{3}) == Miss::never_seen));
    BOOST_TEST(cache.domains().size() == 1U);
    BOOST_TEST(cache.drop_domain(kBob) == 2U);
    BOOST_TEST(cache.domains().empty());
    BOOST_TEST((tips(*find("s", kBob)) == std::vector<std::string>{""}));
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(common_prefixes_are_read_by_all_and_continued_by_each_alone) {
    Holder& prefix = use(HolderKind::prefix, "p", kCommonDomain);
    ask("ab", &prefix);
    BOOST_TEST(ask("abc", "s") == 2U);
    BOOST_TEST(ask("abc", "s", {}, kBob) == 2U);  // not Alice's c
    BOOST_TEST(ask("abc", "s") == 3U);
    BOOST_TEST(pages() == (Paths{"*:a", "*:ab", "1:abc", "2:abc"}));
    BOOST_TEST(cache.n_pages_of(kCommonDomain) == 2U);
    BOOST_TEST(cache.n_pages_of(kAlice) == 1U);
    // The common domain itself sees nobody's own.
    BOOST_TEST(look("abc", kCommonDomain).n_cached_tokens() == 64U);
    // The prefix ends; what sessions read of it stays theirs until they end.
    BOOST_TEST(holders.end(prefix).n_pages == 0U);
    BOOST_TEST(ask("abc", "s") == 3U);
    BOOST_TEST(holders.end(*find("s")).n_pages == 1U);
    BOOST_TEST(pages() == (Paths{"*:a", "*:ab", "2:abc"}));
    BOOST_TEST(holders.end(*find("s", kBob)).n_pages == 3U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(an_opening_that_a_domain_had_before_it_became_common_stays_its_own) {
    ask("abc", "s");
    ask("ab", &use(HolderKind::prefix, "p", kCommonDomain));
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc", "*:a", "*:ab"}));
    BOOST_TEST(ask("abcd", "s") == 3U);
    holders.end(*find("s"));
    BOOST_TEST(ask("abcd", "s") == 2U);  // from now on on the common one
    BOOST_TEST(pages() == (Paths{"*:a", "*:ab", "1:abc", "1:abcd"}));
    BOOST_TEST(cache.drop_domain(kCommonDomain) == 0U);  // others follow it
    BOOST_TEST(cache.drop_domain(kAlice) == 2U);
    BOOST_TEST(cache.drop_domain(kCommonDomain) == 2U);
    cache.check_invariants();
}

// ---- why a page is missing ----

BOOST_AUTO_TEST_CASE(a_miss_says_never_seen_expired_or_evicted) {
    BOOST_TEST((miss("ab") == Miss::never_seen));
    BOOST_TEST((miss("") == Miss::none));  // nothing of it could be reused
    ask("ab");
    ask("xy", "s");
    BOOST_TEST((miss("ab") == Miss::none));
    BOOST_TEST((miss("ac") == Miss::never_seen));
    BOOST_TEST((miss("abc") == Miss::never_seen));
    cache.expire_anonymous(now_ms + 1);
    BOOST_TEST((miss("ab") == Miss::expired));
    BOOST_TEST((miss("aq") == Miss::expired));  // its first page is the one that is missing
    BOOST_TEST((miss("ab", kBob) == Miss::never_seen));
    find("s")->ttl = {.idle_ms = 10};
    holders.expire(now_ms + 10);
    BOOST_TEST((miss("xy") == Miss::expired));
    ask("ab");  // computed anew: what was is forgotten
    BOOST_TEST((miss("ab") == Miss::none));
    ask("STUVWXYZ");
    BOOST_TEST((miss("ab") == Miss::evicted));
    cache.drop_all();
    BOOST_TEST((miss("STUVWXYZ") == Miss::evicted));
}

BOOST_AUTO_TEST_CASE(what_ended_leaves_no_trace) {
    ask("ab", "s");
    holders.end(*find("s"));
    BOOST_TEST((miss("ab") == Miss::never_seen));
    ask("ab", "s", "repo");
    holders.end_context(kAlice, "repo");
    BOOST_TEST((miss("ab") == Miss::never_seen));
    ask("ab", "s");
    holders.truncate(*find("s"), 0);
    BOOST_TEST((miss("ab") == Miss::never_seen));
    // Even where it had been evicted before, and computed again.
    ask("ab", "s");
    cache.drop_all();
    BOOST_TEST((miss("ab") == Miss::evicted));
    ask("ab", "s");
    holders.end(*find("s"));
    BOOST_TEST((miss("ab") == Miss::never_seen));
}

BOOST_AUTO_TEST_CASE(a_miss_behind_a_common_prefix_is_each_domain_s_own) {
    ask("ab", &use(HolderKind::prefix, "p", kCommonDomain));
    ask("abc");
    cache.expire_anonymous(now_ms + 1);
    BOOST_TEST(pages() == (Paths{"*:a", "*:ab"}));
    BOOST_TEST((miss("abc") == Miss::expired));
    BOOST_TEST((miss("abc", kBob) == Miss::never_seen));
    BOOST_TEST((miss("abc", kCommonDomain) == Miss::never_seen));
}

BOOST_AUTO_TEST_SUITE_END()
