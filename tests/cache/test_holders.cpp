// Sessions and contexts: which branches stay, what an end frees, time to live, divergence.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/cache/holder_fixture.hpp"

using namespace kvasir;

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
using Tips = std::vector<std::string>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(holders, HolderFixture)

// ---- branches ----

BOOST_AUTO_TEST_CASE(a_conversation_stays_one_branch_that_grows) {
    BOOST_TEST(ask("ab", "s") == 0U);
    BOOST_TEST(ask("abc", "s") == 2U);
    BOOST_TEST(ask("abcde", "s") == 3U);
    BOOST_TEST((tips(*find("s")) == Tips{"1:abcde"}));
    BOOST_TEST(cache.stats().n_held == 5U);
    BOOST_TEST(cache.stats().n_cached == 5U);
}

BOOST_AUTO_TEST_CASE(a_title_request_does_not_wipe_the_conversation) {
    ask("abcd", "s");
    ask("at", "s");  // under the same opening
    ask("xy", "s");  // under none
    BOOST_TEST((tips(*find("s")) == Tips{"1:abcd", "1:at", "1:xy"}));
    BOOST_TEST(ask("abcde", "s") == 4U);
    BOOST_TEST((tips(*find("s")) == Tips{"1:at", "1:xy", "1:abcde"}));
}

BOOST_AUTO_TEST_CASE(a_regeneration_keeps_the_answer_before_it) {
    ask("abcd", "s");
    BOOST_TEST(ask("abce", "s") == 3U);
    BOOST_TEST((tips(*find("s")) == Tips{"1:abcd", "1:abce"}));
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc", "1:abcd", "1:abce"}));
}

BOOST_AUTO_TEST_CASE(a_request_inside_a_branch_makes_none_and_cuts_none) {
    ask("abcd", "s");
    ask("xy", "s");
    ask("ab", "s");
    BOOST_TEST((tips(*find("s")) == Tips{"1:xy", "1:abcd"}));  // used last, at its full length
}

BOOST_AUTO_TEST_CASE(of_several_branches_before_a_request_the_longest_goes_on) {
    ask("oa", "s");
    ask("ob", "s");
    Holder& session = *find("s");
    holders.truncate(session, kTokensPerPage);
    BOOST_TEST((tips(session) == Tips{"1:o", "1:o"}));
    ask("oc", "s");
    BOOST_TEST((tips(session) == Tips{"1:o", "1:oc"}));
    ask("o", "s");
    BOOST_TEST((tips(session) == Tips{"1:oc", "1:o"}));
    ask("ocd", "s");
    BOOST_TEST((tips(session) == Tips{"1:o", "1:ocd"}));
}

BOOST_AUTO_TEST_CASE(the_fifth_branch_frees_what_only_the_one_used_longest_ago_had) {
    ask("oab", "s");
    ask("oc", "s");
    ask("od", "s");
    ask("xe", "s");
    ask("oab", "s");  // used again: now oc is the oldest
    ask("oc", "t");   // shared: with another session
    const Paths before = pages();
    ask("og", "s");
    BOOST_TEST((tips(*find("s")) == Tips{"1:od", "1:xe", "1:oab", "1:og"}));
    Paths after = before;
    after.insert("1:og");
    BOOST_TEST(pages() == after);  // oc is still t's
    ask("oh", "s");                // od goes, o stays
    after.erase("1:od");
    after.insert("1:oh");
    BOOST_TEST(pages() == after);
    ask("oi", "s");  // xe goes, and x, which nobody shares
    after.erase("1:xe");
    after.erase("1:x");
    after.insert("1:oi");
    BOOST_TEST(pages() == after);
    BOOST_TEST(find("s")->branches.size() == 4U);
}

BOOST_AUTO_TEST_CASE(a_request_of_less_than_a_page_holds_nothing) {
    ask("", "s");
    BOOST_TEST(find("s")->branches.empty());
    BOOST_TEST(find("s")->last.tail.size() == 1U);
    BOOST_TEST(cache.claims().n_branches() == 0U);
}

// ---- end ----

BOOST_AUTO_TEST_CASE(end_frees_what_nobody_else_claims_and_nothing_else) {
    ask("abcd", "s");
    ask("xyz", "s");
    ask("abe", "t");             // another session
    ask("xw");                   // nameless
    ask("abcd", "s", {}, kBob);  // another domain's session of the same name
    Holder& session = *find("s");
    const Holders::Pages counted = holders.pages(session);
    BOOST_TEST(counted.n == 7U);
    BOOST_TEST(counted.n_shared == 3U);  // a, ab, x
    BOOST_TEST(holders.end(session).n_pages == 4U);
    cache.check_invariants();
    BOOST_TEST(find("s") == nullptr);
    BOOST_TEST(pages() ==
               (Paths{"1:a", "1:ab", "1:abe", "1:x", "1:xw", "2:a", "2:ab", "2:abc", "2:abcd"}));
    BOOST_TEST(holders.end(*find("t")).n_pages == 3U);
    BOOST_TEST(holders.end(*find("s", kBob)).n_pages == 4U);
    BOOST_TEST(pages() == (Paths{"1:x", "1:xw"}));
    BOOST_TEST(cache.claims().n_branches() == 0U);
    BOOST_TEST(cache.stats().n_evicted_ended == 11U);
    BOOST_TEST(cache.stats().n_free == 30U);
}

BOOST_AUTO_TEST_CASE(end_leaves_what_runs_until_it_has_run) {
    ask("abcd", "s");
    auto nameless = begin("abx");
    auto other = begin("abcy", &use("t"));
    BOOST_TEST(holders.end(*find("s")).n_pages == 1U);  // d
    cache.check_invariants();
    compute(other, "abcy");
    finish(std::move(other), "abcy", find("t"));
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc", "1:abcy"}));
    BOOST_TEST(holders.end(*find("t")).n_pages == 2U);  // abc, abcy: ab is being read
    nameless.discard();
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab"}));  // anonymous now
    BOOST_TEST(cache.stats().n_held == 0U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(pages_that_run_for_a_session_that_ends_go_with_the_run) {
    auto sequence = begin("abc", &use("s"));
    compute(sequence, "abc");
    BOOST_TEST(holders.end(*find("s")).n_pages == 0U);
    BOOST_TEST(cache.stats().n_leased == 3U);
    sequence.release(now_ms);
    BOOST_TEST(pages().empty());
    BOOST_TEST(cache.stats().n_free == 32U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(what_was_anonymous_before_a_session_used_it_outlives_the_session) {
    ask("ab");
    BOOST_TEST(ask("abc", "s") == 2U);
    BOOST_TEST(holders.end(*find("s")).n_pages == 1U);
    BOOST_TEST(ask("abc") == 2U);
}

// ---- time ----

BOOST_AUTO_TEST_CASE(idle_sessions_expire_with_their_pages_and_use_refreshes_them) {
    use("s").ttl = {.idle_ms = 100};
    use("t").ttl = {.idle_ms = 1000};
    ask("abc", "s");
    ask("ad", "t");
    const std::uint64_t used = find("s")->last_used_ms;
    BOOST_TEST(holders.next_expiry_ms() == used + 100);
    BOOST_TEST(holders.expire(used + 99).n_pages == 0U);
    now_ms = used + 99;
    ask("abc", "s");
    BOOST_TEST(holders.expire(now_ms + 99).n_pages == 0U);
    BOOST_TEST(holders.expire(now_ms + 100).n_pages == 2U);  // a is t's too
    BOOST_TEST(find("s") == nullptr);
    BOOST_TEST(find("t") != nullptr);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ad"}));
    BOOST_TEST(cache.stats().n_evicted_expired == 2U);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(absolute_time_to_live_is_not_refreshed_by_use) {
    Holder& session = use("s");
    const std::uint64_t made = now_ms;
    session.ttl = {.idle_ms = 500, .absolute_ms = 300};
    for (int i = 0; i < 3; ++i) {
        now_ms += 90;
        ask("ab", "s");
    }
    BOOST_TEST(holders.next_expiry_ms() == made + 300);
    BOOST_TEST(holders.expire(made + 299).n_pages == 0U);
    BOOST_TEST(holders.expire(made + 300).n_pages == 2U);
    BOOST_TEST(holders.next_expiry_ms() == kNever);
}

BOOST_AUTO_TEST_CASE(a_session_that_runs_does_not_expire) {
    Holder& session = use("s");
    session.ttl = {.idle_ms = 10, .absolute_ms = 20};
    auto sequence = begin("abc", &session);
    BOOST_TEST(holders.next_expiry_ms() == kNever);
    holders.expire(now_ms + 1000);
    BOOST_TEST(find("s") == &session);
    compute(sequence, "abc");
    now_ms += 1000;
    finish(std::move(sequence), "abc", &session);
    BOOST_TEST(holders.expire(now_ms).n_pages == 3U);  // older than its absolute time
    BOOST_TEST(holders.count(HolderKind::session) == 0U);
}

BOOST_AUTO_TEST_CASE(a_time_to_live_past_the_end_of_time_is_none) {
    Holder& session = use("s");
    BOOST_TEST(session.expires_at_ms() == kNever);
    session.ttl = {.idle_ms = kNever, .absolute_ms = kNever - 1};
    BOOST_TEST(session.expires_at_ms() == kNever);
    BOOST_TEST(holders.expire(kNever - 1).n_pages == 0U);
    BOOST_TEST(find("s") != nullptr);
}

BOOST_AUTO_TEST_CASE(over_the_limit_of_a_domain_the_longest_idle_session_ends) {
    HolderFixture few(32, {.n_per_domain = 2, .session_ttl = {.idle_ms = 7}});
    few.ask("a", "s");
    few.ask("b", "t");
    few.ask("b", "t", {}, kBob);
    few.ask("a", "s");
    BOOST_TEST(*few.find("s")->ttl.idle_ms == 7U);
    few.ask("c", "u");  // t was idle longest
    BOOST_TEST(few.find("t") == nullptr);
    BOOST_TEST(few.find("t", kBob) != nullptr);
    BOOST_TEST(few.pages() == (Paths{"1:a", "1:c", "2:b"}));
    BOOST_TEST(few.holders.list(HolderKind::session, kAlice).size() == 2U);
    // What runs does not go, however long ago it was used.
    auto running = few.begin("a", few.find("s"));
    few.ask("d", "v");
    BOOST_TEST(few.find("u") == nullptr);
    auto also_running = few.begin("d", few.find("v"));
    const auto refused = few.holders.use(HolderKind::session, kAlice, "w", few.now_ms);
    BOOST_REQUIRE(refused.has_error());
    BOOST_TEST((refused.error().code == ErrorCode::exhausted));
    BOOST_TEST(few.holders.use(HolderKind::session, kAlice, "v", few.now_ms).has_value());
    BOOST_TEST(few.holders.use(HolderKind::context, kAlice, "w", few.now_ms).has_value());
    few.finish(std::move(running), "a", few.find("s"));
    few.finish(std::move(also_running), "d", few.find("v"));
}

BOOST_AUTO_TEST_CASE(anonymous_pages_expire_by_their_last_use) {
    now_ms = 100;
    ask("abc");
    ask("xy", "s");
    ask("xy");
    now_ms = 200;
    ask("ab");
    BOOST_TEST(cache.expire_anonymous(150).n_pages == 1U);  // abc
    cache.check_invariants();
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:x", "1:xy"}));
    auto running = begin("ab");
    BOOST_TEST(cache.expire_anonymous(kNever).n_pages == 0U);
    running.discard();
    BOOST_TEST(cache.expire_anonymous(kNever).n_pages == 2U);
    BOOST_TEST(holders.end(*find("s")).n_pages == 2U);  // its anonymous claim has gone too
    BOOST_TEST(cache.stats().n_free == 32U);
}

// ---- contexts ----

BOOST_AUTO_TEST_CASE(a_change_of_context_frees_what_only_the_old_one_used) {
    ask("oab", "s", "repo-1");
    ask("ox", "s", "repo-1");
    BOOST_TEST(holders.change_context(*find("s"), "repo-1").n_pages == 0U);
    BOOST_TEST(holders.change_context(*find("s"), "").n_pages == 0U);
    // The new context's request reads o meanwhile, so o survives.
    BOOST_TEST(ask("oc", "s", "repo-2") == 1U);
    BOOST_TEST(pages() == (Paths{"1:o", "1:oc"}));
    BOOST_TEST((tips(*find("s")) == Tips{"1:oc"}));
    BOOST_TEST(find("s")->context == "repo-2");
    BOOST_TEST(holders.change_context(*find("s"), "repo-3").n_pages == 2U);
    BOOST_TEST(pages().empty());
}

BOOST_AUTO_TEST_CASE(a_change_of_context_keeps_what_belongs_to_none) {
    ask("ab", "s");
    ask("cd", "s", "repo-1");
    ask("ef", "s", "repo-2");
    BOOST_TEST((tips(*find("s")) == Tips{"1:ab", "1:ef"}));
}

BOOST_AUTO_TEST_CASE(end_context_reaches_every_session_and_nameless_request_of_the_domain) {
    ask("oa", "s", "repo");
    ask("ob", "t", "repo");
    ask("oc", "u", "other");
    ask("od", &use(HolderKind::context, "repo"));
    ask("oa", "s", "repo", kBob);
    auto running = begin("odx", nullptr);
    BOOST_TEST(holders.end_context(kAlice, "").n_pages == 0U);
    BOOST_TEST(holders.end_context(kAlice, "repo").n_pages == 2U);  // oa, ob; od is being read
    BOOST_TEST(pages() == (Paths{"1:o", "1:oc", "1:od", "2:o", "2:oa"}));
    BOOST_TEST(holders.count(HolderKind::context) == 0U);
    BOOST_TEST(find("s")->context.empty());
    BOOST_TEST(find("s")->last.tail.empty());  // no token of it stays
    BOOST_TEST(find("u")->context == "other");
    BOOST_TEST(find("s", kBob)->context == "repo");
    running.discard();
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_context_s_nameless_requests_hold_many_branches) {
    HolderFixture few(32, {.n_context_branches = 6});
    Holder& context = few.use(HolderKind::context, "repo");
    for (char letter = 'a'; letter < 'h'; ++letter) few.ask(std::string(1, letter), &context);
    BOOST_TEST(context.branches.size() == 6U);
    BOOST_TEST(few.pages().size() == 6U);
    BOOST_TEST(few.holders.end_context(kAlice, "repo").n_pages == 6U);
}

// ---- truncation ----

BOOST_AUTO_TEST_CASE(truncation_frees_at_once_what_lies_behind_the_cut) {
    ask("abcd", "s");
    ask("abx", "s");
    ask("abc", "t");
    BOOST_TEST(holders.truncate(*find("s"), 4 * kTokensPerPage).n_pages == 0U);
    BOOST_TEST(holders.truncate(*find("s"), 4 * kTokensPerPage - 1).n_pages == 1U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc", "1:abx"}));
    BOOST_TEST(holders.truncate(*find("s"), kTokensPerPage).n_pages == 1U);
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abc"}));  // t's
    BOOST_TEST((tips(*find("s")) == Tips{"1:a", "1:a"}));
    BOOST_TEST(holders.truncate(*find("s"), 0).n_pages == 0U);
    BOOST_TEST(holders.end(*find("t")).n_pages == 3U);
    BOOST_TEST(ask("abcd", "s") == 0U);
    cache.check_invariants();
}

// ---- prefixes ----

BOOST_AUTO_TEST_CASE(a_prefix_computed_anew_is_what_was_computed_last) {
    Holder& prefix = use(HolderKind::prefix, "p");
    ask("abcd", &prefix);
    ask("abx", &prefix);
    BOOST_TEST((tips(prefix) == Tips{"1:abx"}));
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab", "1:abx"}));
    ask("ab", &prefix);  // shorter
    BOOST_TEST((tips(prefix) == Tips{"1:ab"}));
    BOOST_TEST(pages() == (Paths{"1:a", "1:ab"}));
    ask("abcd", &prefix);
    BOOST_TEST((tips(prefix) == Tips{"1:abcd"}));
}

BOOST_AUTO_TEST_CASE(a_request_that_begins_on_all_of_a_prefix_is_its_hit) {
    Holder& own = use(HolderKind::prefix, "own");
    Holder& common = use(HolderKind::prefix, "common", kCommonDomain);
    use(HolderKind::prefix, "not computed yet");
    ask("ab", &own);
    ask("x", &common);
    own.ttl = {.idle_ms = 50};
    now_ms += 40;
    const auto count = [&](const std::string& letters, DomainId domain) {
        const auto sequence = look(letters, domain);
        holders.count_prefix_hits(domain, sequence.tip(), now_ms);
    };
    count("abc", kAlice);
    count("ab", kAlice);
    count("a", kAlice);  // not all of it
    count("q", kAlice);
    count("ab", kBob);  // another domain's is not there
    BOOST_TEST(own.n_hits == 2U);
    BOOST_TEST(own.last_used_ms == now_ms);
    count("xy", kAlice);
    count("xz", kBob);
    BOOST_TEST(common.n_hits == 2U);
    holders.expire(now_ms + 49);  // a hit is a use
    BOOST_TEST(holders.find(HolderKind::prefix, kAlice, "own") == &own);
    BOOST_TEST(holders.expire(now_ms + 50).n_pages == 2U);
}

BOOST_AUTO_TEST_CASE(prefixes_over_the_limit_are_refused_not_ended) {
    HolderFixture few(32, {.n_per_domain = 2});
    few.ask("a", &few.use(HolderKind::prefix, "p"));
    few.ask("b", &few.use(HolderKind::prefix, "q"));
    const auto refused = few.holders.use(HolderKind::prefix, kAlice, "r", few.now_ms);
    BOOST_REQUIRE(refused.has_error());
    BOOST_TEST((refused.error().code == ErrorCode::exhausted));
    BOOST_TEST(few.holders.count(HolderKind::prefix) == 2U);
    BOOST_TEST(few.pages() == (Paths{"1:a", "1:b"}));
}

// ---- divergence ----

struct Divergences : HolderFixture {
    std::optional<Holders::Divergence> diverge(const Tokens& prompt, std::size_t max_old = 4) {
        return holders.find_divergence(*find("s"), prompt, max_old);
    }
    /// text_of(letters) with another token at `at`.
    static Tokens changed(const std::string& letters, std::size_t at) {
        Tokens tokens = text_of(letters);
        tokens[at] = 9;
        return tokens;
    }
};

BOOST_FIXTURE_TEST_CASE(divergence_names_the_first_token_that_differs, Divergences) {
    auto sequence = begin("abc", &use("s"));
    compute(sequence, "abc");
    finish(std::move(sequence), "abc", find("s"), 2);  // c was generated
    for (const std::size_t at : {0, 31, 32, 63, 64, 95, 96}) {
        const auto found = diverge(changed("abc", at));
        BOOST_REQUIRE(found.has_value());
        BOOST_TEST(found->at == at);
        BOOST_TEST(found->in_generated == (at >= 64));
        const Tokens old = text_of("abc");
        const std::size_t n = std::min<std::size_t>(4, old.size() - at);
        BOOST_TEST(found->old_tokens == Tokens(old.begin() + static_cast<std::ptrdiff_t>(at),
                                               old.begin() + static_cast<std::ptrdiff_t>(at + n)),
                   boost::test_tools::per_element());
    }
}

BOOST_FIXTURE_TEST_CASE(what_goes_on_or_stops_early_does_not_diverge, Divergences) {
    use("s");
    BOOST_TEST(!diverge(text_of("a")).has_value());  // nothing was asked before
    ask("abc", "s");
    Tokens longer = text_of("abc");
    BOOST_TEST(!diverge(longer).has_value());
    longer.push_back(5);
    BOOST_TEST(!diverge(longer).has_value());
    BOOST_TEST(!diverge(pages_of("abc")).has_value());
    BOOST_TEST(!diverge(pages_of("a")).has_value());
    BOOST_TEST(!diverge({}).has_value());
}

BOOST_FIXTURE_TEST_CASE(divergence_is_from_the_last_request_not_from_a_longer_branch, Divergences) {
    ask("abcd", "s");
    ask("ab", "s");  // ends inside that branch
    BOOST_TEST(!diverge(pages_of("abx")).value().in_generated);
    BOOST_TEST(diverge(pages_of("abx")).value().at == 64U);
    BOOST_TEST(diverge(pages_of("abx")).value().old_tokens == Tokens{1},
               boost::test_tools::per_element());
    ask("", "s");  // less than a page
    BOOST_TEST(diverge(pages_of("b")).value().old_tokens == Tokens{1},
               boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(what_was_evicted_or_ended_is_not_compared, Divergences) {
    ask("abc", "s", "repo");
    cache.trim(1);
    BOOST_TEST(!diverge(changed("abc", 70)).has_value());  // c and what followed are not there
    BOOST_TEST(!diverge(pages_of("ab") + Tokens{9}).has_value());
    BOOST_TEST(diverge(changed("abc", 63)).value().at == 63U);
    cache.drop_all();
    BOOST_TEST(!diverge(changed("abc", 0)).has_value());
    ask("abc", "s", "repo");
    holders.end_context(kAlice, "repo");
    BOOST_TEST(!diverge(changed("abc", 0)).has_value());
    ask("abc", "s");
    holders.truncate(*find("s"), 64);
    BOOST_TEST(!diverge(changed("abc", 70)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
