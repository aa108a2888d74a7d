// What reserves and caps promise, case by case; test_kv_cache_random.cpp and
// test_holders_random.cpp try the rest.
#include <boost/test/unit_test.hpp>

#include "tests/cache/holder_fixture.hpp"

using namespace kvasir;

namespace {

constexpr DomainId kCarol{3};
constexpr DomainId kSalted{100};

KvCache::Options options(std::uint32_t n_pages, std::map<DomainId, GroupLimits> groups,
                         RetentionPolicy retention = RetentionPolicy::lru) {
    return {.n_pages = n_pages, .retention = retention, .groups = std::move(groups)};
}

struct GroupFixture : HolderFixture {
    using HolderFixture::HolderFixture;

    void ask(const std::string& letters, DomainId domain = kAlice) {
        auto sequence = begin(letters, nullptr, domain);
        compute(sequence, letters);
        sequence.release(++now_ms);
        cache.check_invariants();
    }
    std::uint32_t found(const std::string& letters, DomainId domain = kAlice) const {
        return static_cast<std::uint32_t>(cache.tree().match(domain, pages_of(letters)).size());
    }
    Result<KvCache::Sequence> try_begin(DomainId domain, const std::string& letters,
                                        std::uint32_t n_pages,
                                        std::optional<DomainId> owner = std::nullopt) {
        const Tokens prompt = text_of(letters);
        return cache.begin(domain, prompt, n_pages * kTokensPerPage + 1, now_ms,
                           KvCache::Lookup::allowed, owner);
    }
    void flood(DomainId domain, int n) {
        for (int i = 0; i < n; ++i)
            ask(std::string(1, static_cast<char>('A' + i % 26)) +
                    std::string(1, static_cast<char>('a' + i / 26)),
                domain);
    }
    std::uint32_t n_of(DomainId domain) const {
        const KvCache::GroupUse use = cache.use(cache.group_of(domain));
        return use.n_leased + use.n_cached;
    }
};

ErrorCode code_of(const Result<KvCache::Sequence>& result) {
    BOOST_REQUIRE(result.has_error());
    return result.error().code;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_cache_groups)

BOOST_AUTO_TEST_CASE(a_flood_leaves_another_domains_reserve_alone) {
    for (const RetentionPolicy policy : {RetentionPolicy::lru, RetentionPolicy::kvasir}) {
        GroupFixture f(options(16, {{kAlice, {.reserve = 4}}}, policy));
        f.ask("abcd");
        f.flood(kBob, 200);
        BOOST_TEST(f.found("abcd") == 4U);
        BOOST_TEST(f.n_of(kBob) == 12U);
    }
}

BOOST_AUTO_TEST_CASE(what_is_above_the_reserve_goes_like_anybodys) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 4}}}));
    f.ask("abcdef");
    f.flood(kBob, 200);
    BOOST_TEST(f.found("abcdef") == 4U);
}

BOOST_AUTO_TEST_CASE(a_cap_holds_while_pages_are_free) {
    GroupFixture f(options(32, {{kAlice, {.reserve = 0, .cap = 6}}}));
    f.ask("abcd");
    f.ask("efgh");
    BOOST_TEST(f.n_of(kAlice) == 6U);
    BOOST_TEST(f.cache.stats().n_free == 26U);
    BOOST_TEST(f.found("efgh") == 4U);
    BOOST_TEST(f.found("abcd") == 2U);
    f.flood(kAlice, 100);
    BOOST_TEST(f.n_of(kAlice) == 6U);
    BOOST_TEST((code_of(f.try_begin(kAlice, "a", 7)) == ErrorCode::too_large));
    auto four = f.try_begin(kAlice, "a", 4).value();
    BOOST_TEST((code_of(f.try_begin(kAlice, "z", 3)) == ErrorCode::exhausted));
    auto two = f.try_begin(kAlice, "z", 2).value();
    f.cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(unlisted_domains_split_one_budget) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 10}}}));
    f.flood(kBob, 50);
    BOOST_TEST(f.n_of(kBob) == 16U);  // until somebody needs them
    f.flood(kAlice, 50);
    BOOST_TEST(f.n_of(kAlice) >= 10U);
    f.flood(kBob, 50);
    f.flood(kCarol, 50);
    BOOST_TEST((f.cache.group_of(kBob) == f.cache.group_of(kCarol)));
    BOOST_TEST(f.n_of(kCarol) == 6U);
    BOOST_TEST(f.cache.n_pages_of(kBob) < f.cache.n_pages_of(kCarol));
    BOOST_TEST((code_of(f.try_begin(kBob, "a", 7)) == ErrorCode::too_large));
}

BOOST_AUTO_TEST_CASE(admission_waits_rather_than_break_a_reserve) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 6}}}));
    auto running = f.try_begin(kBob, "a", 8).value();
    // Six pages are free beside those two, and they are Alice's.
    BOOST_TEST((code_of(f.try_begin(kCarol, "b", 3)) == ErrorCode::exhausted));
    auto small = f.try_begin(kCarol, "b", 2).value();
    auto alices = f.try_begin(kAlice, "c", 6).value();
    BOOST_TEST((code_of(f.try_begin(kAlice, "d", 1)) == ErrorCode::exhausted));
    f.cache.check_invariants();
    running.discard();
    auto later = f.try_begin(kCarol, "b", 8).value();
    f.cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_part_counts_for_its_owner_and_shares_nothing) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 4, .cap = 6}}}));
    {
        auto sequence = f.try_begin(kSalted, "abc", 4, kAlice).value();
        f.compute(sequence, "abc");
        sequence.release(++f.now_ms);
    }
    BOOST_TEST(f.n_of(kAlice) == 3U);
    BOOST_TEST(f.cache.n_pages_of(kAlice) == 3U);
    BOOST_TEST(f.found("abc") == 0U);
    BOOST_TEST(f.found("abc", kSalted) == 3U);
    f.flood(kBob, 100);
    BOOST_TEST(f.found("abc", kSalted) == 3U);
    f.cache.drop_domain(kBob);
    f.ask("wxyz");
    BOOST_TEST(f.n_of(kAlice) == 6U);
    BOOST_TEST(f.cache.n_pages_of(kAlice) == 6U);
    BOOST_TEST(f.found("abc", kSalted) == 2U);
    BOOST_TEST(f.cache.drop_domain(kAlice) == 6U);
    BOOST_TEST(f.cache.domains().contains(kSalted) == false);
}

BOOST_AUTO_TEST_CASE(common_pages_count_for_nobodys_cap) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 0, .cap = 3}}}));
    auto prefix = f.begin("abcd", nullptr, kCommonDomain);
    f.compute(prefix, "abcd");
    BOOST_TEST((f.cache.max_pages(kAlice, kAlice, text_of("abcdef")) == 7U));
    BOOST_TEST((f.cache.max_pages(kAlice, kAlice, text_of("xyz")) == 3U));
    auto reader = f.try_begin(kAlice, "abcdef", 7).value();
    BOOST_TEST(reader.n_cached_tokens() == 4 * kTokensPerPage);
    BOOST_TEST((code_of(f.try_begin(kAlice, "abcdef", 8)) == ErrorCode::too_large));
    f.cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_prefix_is_not_pinned_over_a_reserve) {
    GroupFixture f(options(8, {{kAlice, {.reserve = 6}}}));
    f.now_ms = 2000;
    Holder& prefix = f.use(HolderKind::prefix, "p", kCommonDomain);
    auto sequence = f.begin("ab", &prefix);
    f.compute(sequence, "ab");
    f.finish(std::move(sequence), "ab", &prefix);
    auto other = f.try_begin(kBob, "x", 1).value();
    BOOST_TEST(f.cache.pin_branch(prefix.branches.back().id).has_error());
    other.discard();
    BOOST_TEST(f.cache.pin_branch(prefix.branches.back().id).has_value());
    f.cache.check_invariants();
}

/// Nobody leases the common pages any more, but Alice's reserve lies behind them: it does not keep
/// them for her.
BOOST_AUTO_TEST_CASE(orphaned_common_pages_go_with_what_follows_them) {
    GroupFixture f(options(10, {{kAlice, {.reserve = 5}}, {kCarol, {.reserve = 1}}}));
    Holder& prefix = f.use(HolderKind::prefix, "p", kCommonDomain);
    auto sequence = f.begin("abcd", &prefix);
    f.compute(sequence, "abcd");
    f.finish(std::move(sequence), "abcd", &prefix);
    f.ask("abcdefghi");
    f.ask("z", kCarol);
    BOOST_TEST(f.n_of(kAlice) == 5U);
    f.holders.end(prefix);
    BOOST_TEST(f.found("abcdefghi") == 9U);
    auto bobs = f.try_begin(kBob, "uvwx", 4).value();  // what no reserve keeps
    f.compute(bobs, "uvwx");
    f.cache.check_invariants();
    BOOST_TEST(f.found("z", kCarol) == 1U);  // hers is not after common pages
    BOOST_TEST(f.found("abcdefghi") == 5U);
}

/// Its reserve is the group's also where cached common pages would cost more than there is.
BOOST_AUTO_TEST_CASE(a_reserve_is_of_use_beside_idle_common_pages) {
    GroupFixture f(options(10, {{kAlice, {.reserve = 6}}}));
    f.ask("abc", kCommonDomain);  // claimed by nobody: gone again
    Holder& prefix = f.use(HolderKind::prefix, "p", kCommonDomain);
    auto sequence = f.begin("abc", &prefix);
    f.compute(sequence, "abc");
    f.finish(std::move(sequence), "abc", &prefix);
    auto bobs = f.try_begin(kBob, "x", 4).value();
    auto alices = f.try_begin(kAlice, "abcd", 6).value();
    BOOST_TEST(alices.n_cached_tokens() == 0U);
    f.compute(alices, "abcd");
    f.cache.check_invariants();
    BOOST_TEST((f.cache.tree().domain(alices.tip()) == kAlice));
}

BOOST_AUTO_TEST_CASE(pages_of_whole_groups_say_who_may_overtake) {
    GroupFixture f(options(16, {{kAlice, {.reserve = 4}}, {kCarol, {.reserve = 0, .cap = 3}}}));
    const GroupId alice = f.cache.group_of(kAlice);
    BOOST_TEST(f.cache.is_within_reserve(alice, 4));
    BOOST_TEST(!f.cache.is_within_reserve(alice, 5));
    auto running = f.try_begin(kAlice, "a", 3).value();
    BOOST_TEST(f.cache.is_within_reserve(alice, 1));
    BOOST_TEST(!f.cache.is_within_reserve(alice, 2));
    BOOST_TEST(!f.cache.is_within_reserve(f.cache.group_of(kBob), 1));
    BOOST_TEST(f.cache.is_beyond_cap(f.cache.group_of(kCarol), 4));
    BOOST_TEST(!f.cache.is_beyond_cap(f.cache.group_of(kCarol), 3));
    BOOST_TEST(!f.cache.is_beyond_cap(f.cache.group_of(kBob), 100));
    BOOST_TEST(f.cache.max_pages(kAlice) == 16U);
    BOOST_TEST(f.cache.max_pages(kBob) == 12U);
    BOOST_TEST(f.cache.max_pages(kCommonDomain) == 12U);
}

BOOST_AUTO_TEST_SUITE_END()
