// Sequences longer than their attention's window: what they hold, what they give up, what later
// ones find. Pages have contents here: what a sequence sees through its block table has to be the
// text before it, whatever was evicted meanwhile.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache/kv_cache.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;
namespace data = boost::unit_test::data;

namespace {

constexpr DomainId kDomain{0};
constexpr std::uint32_t kPage = kTokensPerPage;

/// A letter a page.
std::vector<TokenId> text_of(const std::string& letters, std::uint32_t n_more = 0) {
    std::vector<TokenId> tokens;
    for (const char letter : letters)
        for (std::uint32_t i = 0; i < kPage; ++i)
            tokens.push_back(static_cast<TokenId>(letter) * 100 + i);
    for (std::uint32_t i = 0; i < n_more; ++i) tokens.push_back(9 + i);
    return tokens;
}

/// Sinks in the first page, two pages and a bit of window.
constexpr AttentionWindow kWindow{.n_sinks = 4, .n_recent = 65, .max_step_tokens = kPage};

KvCache::Options options(std::uint32_t n_pages, std::uint32_t n_hollow = 100) {
    KvCache::Options options{.n_pages = n_pages};
    options.window = kWindow;
    options.n_hollow_nodes = n_hollow;
    return options;
}

/// Page by page to the end of the text.
void run(KvCache::Sequence& sequence, const std::vector<TokenId>& tokens, std::uint64_t now = 0) {
    while (sequence.n_tokens() < tokens.size()) {
        const std::size_t n = std::min<std::size_t>(kPage, tokens.size() - sequence.n_tokens());
        BOOST_REQUIRE(sequence.max_step_tokens() >= n);
        const auto n_full = static_cast<std::uint32_t>((sequence.n_tokens() + n) / kPage);
        if (n_full > 0) sequence.ensure_page(n_full - 1);
        sequence.append(std::span(tokens).subspan(sequence.n_tokens(), n));
        sequence.commit(now);
    }
}

/// The text's pages up to n, without their content.
void pass(KvCache::Sequence& sequence, const std::vector<TokenId>& tokens, std::size_t n) {
    for (std::size_t i = sequence.n_tokens() / kPage; i < n; ++i)
        sequence.pass(std::span(tokens).subspan(i * kPage).first<kPage>());
}

KvCache::Sequence begin(KvCache& cache, const std::vector<TokenId>& tokens) {
    return cache.begin(kDomain, tokens, static_cast<std::uint32_t>(tokens.size()), 0).value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_cache_window)

BOOST_AUTO_TEST_CASE(what_a_token_sees) {
    BOOST_TEST(n_sink_pages(kWindow) == 1U);
    BOOST_TEST(first_page_in_window(kWindow, 0) == 0U);
    BOOST_TEST(first_page_in_window(kWindow, 5 * kPage) == 3U);      // keys 96 to 160
    BOOST_TEST(first_page_in_window(kWindow, 5 * kPage - 1) == 2U);  // 95
    BOOST_TEST(first_page_in_window(kWindow, 4 * kPage - 1) == 0U);  // 63: next to the sinks'
    BOOST_TEST(is_in_window(kWindow, 5 * kPage, 0));
    BOOST_TEST(!is_in_window(kWindow, 5 * kPage, 2));
    const AttentionWindow wide{.n_recent = 0xffffffffU, .max_step_tokens = 1};
    BOOST_TEST(first_page_in_window(wide, 0xfffffffeU) == 0U);
    for (std::uint32_t n = 0; n < 2000; ++n) {  // against the definition
        for (std::uint32_t page = 1; page < n / kPage; ++page) {
            bool is_seen = false;
            for (std::uint32_t key = page * kPage; key < (page + 1) * kPage; ++key)
                is_seen = is_seen || key < kWindow.n_sinks || n - key < kWindow.n_recent;
            BOOST_REQUIRE(!is_seen || is_in_window(kWindow, n, page));
            // The page after the sinks' alone is not worth a gap.
            BOOST_REQUIRE(is_seen || !is_in_window(kWindow, n, page) ||
                          first_page_in_window(kWindow, n) == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_long_sequence_holds_what_it_sees) {
    KvCache cache(options(8));
    BOOST_REQUIRE(max_held_pages(kWindow) <= 8U);
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnopqrstuvwxyz");
    KvCache::Sequence sequence = begin(cache, tokens);
    run(sequence, tokens);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_leased == 3U);  // the sinks' and the window's two
    BOOST_TEST(cache.stats().n_cached == 5U);
    BOOST_TEST(cache.stats().n_hollow == 18U);
    sequence.release(0);
    cache.check_invariants();
    // The next turn goes on from the end.
    const std::vector<TokenId> next = text_of("abcdefghijklmnopqrstuvwxyzAB");
    KvCache::Sequence again = begin(cache, next);
    BOOST_TEST(again.n_cached_tokens() == 26 * kPage);
    run(again, next);
    again.release(0);
    // From the middle nothing is left: its window is gone.
    KvCache::Sequence other = begin(cache, text_of("abcdefghijklM"));
    BOOST_TEST(other.n_cached_tokens() == kPage);  // the sinks' page, and all it sees
    BOOST_TEST((other.miss() == KvCache::Miss::evicted));
    other.discard();
    cache.drop_all();
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_free == 8U);
    BOOST_TEST(cache.stats().n_hollow == 0U);
    BOOST_TEST(cache.tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_CASE(rolled_pages_stay_while_there_is_space) {
    KvCache cache(options(40));
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnop");
    KvCache::Sequence sequence = begin(cache, tokens);
    run(sequence, tokens);
    BOOST_TEST(cache.stats().n_leased == 3U);
    BOOST_TEST(cache.stats().n_cached == 13U);
    // Somebody with the same opening finds it while the first one runs.
    KvCache::Sequence other = begin(cache, text_of("abcdefXY"));
    BOOST_TEST(other.n_cached_tokens() == 6 * kPage);
    cache.check_invariants();
    other.discard();
    sequence.release(0);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_cached == 16U);
}

BOOST_AUTO_TEST_CASE(nothing_stays_of_what_nobody_claims) {
    KvCache cache(options(40));
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnop");
    KvCache::Sequence sequence = begin(cache, tokens);
    sequence.keep(KvCache::Keep::as_claimed);
    run(sequence, tokens);
    BOOST_TEST(cache.stats().n_cached == 13U);
    const BranchId branch = cache.open_branch();
    cache.move_branch(branch, sequence.tip());
    sequence.release(0);
    BOOST_TEST(cache.stats().n_held == 16U);
    cache.trim(9);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_held == 7U);
    cache.close_branch(branch);
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_free == 40U);
    BOOST_TEST(cache.tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_CASE(who_is_ahead_waits_for_who_holds_what_it_gave_up) {
    KvCache cache(options(12));
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnopqrstuvwxyz");
    KvCache::Sequence ahead = begin(cache, tokens);
    run(ahead, text_of("abc"));
    const std::vector<TokenId> first_text = text_of("abcXY");
    KvCache::Sequence first = begin(cache, first_text);
    BOOST_TEST(first.n_cached_tokens() == 3 * kPage);
    KvCache::Sequence other = begin(cache, text_of("1234"));
    BOOST_TEST(cache.stats().n_reserved + cache.stats().n_leased == 12U);
    run(ahead, text_of("abcde"));  // and has given up b and c, which the first one still leases
    other.discard();
    const std::vector<TokenId> second_text = text_of("abcdeXYZW");
    KvCache::Sequence second = begin(cache, second_text);
    BOOST_TEST(second.n_cached_tokens() == 5 * kPage);
    BOOST_TEST(cache.stats().n_reserved + cache.stats().n_leased == 12U);
    const auto go_on = [&] {
        while (ahead.n_tokens() < tokens.size() && ahead.max_step_tokens() >= kPage)
            run(ahead, std::vector(tokens.begin(), tokens.begin() + ahead.n_tokens() + kPage));
    };
    go_on();
    cache.check_invariants();
    BOOST_TEST(ahead.n_tokens() == 6 * kPage);
    BOOST_TEST(ahead.max_step_tokens() == kPage - 1);  // what fills no page
    run(second, second_text);                          // whoever is behind never waits
    run(first, first_text);
    second.release(0);
    first.release(0);
    go_on();
    BOOST_TEST(ahead.n_tokens() == tokens.size());
    cache.check_invariants();
    ahead.release(0);
    cache.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_full_tree_costs_reuse_and_nothing_else) {
    KvCache cache(options(8, 3));
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnopqrstuvwxyz");
    KvCache::Sequence sequence = begin(cache, tokens);
    run(sequence, tokens);
    cache.check_invariants();
    sequence.release(0);
    cache.check_invariants();
    KvCache::Sequence again = begin(cache, tokens);
    run(again, tokens);
    again.release(0);
    cache.drop_all();
    cache.check_invariants();
    BOOST_TEST(cache.tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_CASE(what_comes_back_without_its_early_pages_is_followed) {
    KvCache cache(options(9, 30));
    const BranchId branch = cache.open_branch();
    const std::string letters = "abcdefghijklmnopqrst";
    const std::vector<TokenId> tokens = text_of(letters);
    {
        KvCache::Sequence restored = begin(cache, tokens);
        restored.keep(KvCache::Keep::as_claimed);
        run(restored, text_of("a"));
        pass(restored, tokens, 18);
        restored.commit(0);
        cache.check_invariants();
        BOOST_TEST(cache.stats().n_hollow == 0U);  // nothing follows yet
        run(restored, tokens);
        cache.check_invariants();
        BOOST_TEST(cache.stats().n_hollow == 17U);
        BOOST_TEST(cache.stats().n_leased == 3U);
        cache.move_branch(branch, restored.tip());
    }
    cache.check_invariants();
    BOOST_TEST(cache.stats().n_held == 3U);
    const std::vector<TokenId> next = text_of(letters + "AB");
    KvCache::Sequence again = begin(cache, next);
    BOOST_TEST(again.n_cached_tokens() == 20 * kPage);
    run(again, next);
    again.release(0);
    cache.close_branch(branch);
    cache.drop_all();
    cache.check_invariants();
    BOOST_TEST(cache.tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_given_up_before_it_is_whole_leaves_nothing) {
    KvCache cache(options(9, 30));
    const std::vector<TokenId> tokens = text_of("abcdefghij");
    {
        KvCache::Sequence restored = begin(cache, tokens);
        restored.keep(KvCache::Keep::as_claimed);
        pass(restored, tokens, 6);
        run(restored, text_of("abcdefgh"));
        pass(restored, tokens, 9);
        cache.check_invariants();
        BOOST_TEST(cache.tree().n_nodes() == 8U);
    }
    cache.check_invariants();
    BOOST_TEST(cache.tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_CASE(what_was_too_long_for_the_tree_is_in_it_once_there_is_room) {
    KvCache cache(options(8, 14));
    const std::vector<TokenId> other = text_of("01234567890123456");
    KvCache::Sequence first = begin(cache, other);
    run(first, other);
    first.release(0);
    BOOST_REQUIRE(cache.stats().n_hollow == 9U);
    const std::vector<TokenId> tokens = text_of("abcdefghijklmnopqrs");
    KvCache::Sequence sequence = begin(cache, tokens);
    run(sequence, text_of("abcdefghijkl"));
    cache.check_invariants();
    run(sequence, tokens);
    const NodeId tip = sequence.tip();
    BOOST_REQUIRE(tip != kNoNode);
    BOOST_TEST(cache.tree().depth(tip) == 18U);
    sequence.release(0);
    cache.check_invariants();
}

namespace {

/// Host memory that fails now and then.
class Mover : public PageMover {
public:
    Mover(std::vector<std::string>& device, std::size_t n_slots, Random& random)
        : device_(device), host_(n_slots), random_(random) {}
    void save(PageId from, HostSlot to) noexcept override {
        host_[to_index(to)] = device_[to_index(from)];
    }
    bool load(HostSlot from, PageId to) noexcept override {
        if (random_.one_in(50)) return false;
        device_[to_index(to)] = host_[to_index(from)];
        return true;
    }
    void drop(HostSlot slot) noexcept override { host_[to_index(slot)].clear(); }

private:
    std::vector<std::string>& device_;
    std::vector<std::string> host_;
    Random& random_;
};

/// Sequences of letters under a few openings, some of them through a branch that stays.
class Trial {
public:
    explicit Trial(std::uint64_t seed)
        : random_(seed),
          n_pages_(max_held_pages(kWindow) + random_.below(18)),
          content_(n_pages_),
          n_slots_(seed % 3 == 0 ? 12 : 0),
          mover_(content_, n_slots_, random_),
          cache_(make_options(seed)) {
        for (int i = 0; i < 4; ++i) branches_.push_back(cache_.open_branch());
    }
    ~Trial() {
        for (const BranchId branch : branches_) cache_.unpin_branch(branch);
    }

    void run(int n_operations) {
        for (int i = 0; i < n_operations; ++i) {
            ++now_;
            operate();
            if (i % 8 == 0) cache_.check_invariants();
        }
        running_.clear();
        for (const BranchId branch : branches_) cache_.close_branch(branch);
        cache_.check_invariants();
        cache_.drop_all();
        cache_.check_invariants();
        BOOST_TEST(cache_.stats().n_free == n_pages_);
        BOOST_TEST(cache_.tree().n_nodes() == 0U);
        BOOST_TEST(cache_.stats().n_hollow == 0U);
    }
    std::uint64_t n_reused() const { return cache_.stats().n_tokens_reused; }
    std::uint64_t n_waits() const { return n_waits_; }

private:
    struct Run {
        KvCache::Sequence sequence;
        std::string letters;
        std::vector<TokenId> tokens;
        std::uint32_t n_prompt = 0;
        bool is_named = false;
        bool is_restored = false;
        std::set<std::uint32_t> passed;  // its pages that nobody has
    };

    KvCache::Options make_options(std::uint64_t seed) {
        KvCache::Options made = options(n_pages_, seed % 5 == 0 ? 6 : 400);
        made.hash_seed = seed;
        made.retention = seed % 2 == 0 ? RetentionPolicy::kvasir : RetentionPolicy::lru;
        made.n_host_slots = n_slots_;
        made.mover = n_slots_ > 0 ? &mover_ : nullptr;
        if (seed % 4 == 1)
            made.groups = {
                {kDomain, {.reserve = 4, .cap = std::max(max_held_pages(kWindow), n_pages_ - 2)}}};
        return made;
    }

    void operate() {
        const std::uint32_t dice = random_.below(100);
        if (dice < 12 || running_.empty()) return begin();
        const std::size_t i = random_.below(running_.size());
        if (dice < 80) return step(i);
        if (dice < 88) return end(i);
        if (dice < 92) {
            cache_.trim(random_.below(4));
        } else if (dice < 95) {
            cache_.expire_anonymous(now_ > 40 ? now_ - 40 : 0);
        } else if (dice < 97) {
            const BranchId branch = branches_[random_.below(branches_.size())];
            if (!cache_.pin_branch(branch).has_error() && random_.one_in(2))
                cache_.unpin_branch(branch);
        } else if (dice < 99) {
            const BranchId branch = branches_[random_.below(branches_.size())];
            cache_.unpin_branch(branch);
            cache_.move_branch(branch, kNoNode);
        } else {
            cache_.drop_domain(kDomain);
        }
    }

    void begin() {
        if (running_.size() >= 4) return;
        Run run;
        run.letters = random_.one_in(3) && !last_.empty() ? last_ : std::string();
        const std::size_t n = run.letters.size() + 1 + random_.below(14);
        while (run.letters.size() < n)
            run.letters += static_cast<char>('a' + random_.below(run.letters.size() < 8 ? 1 : 2));
        if (run.letters.size() > 30) run.letters.resize(30);
        run.is_restored = random_.one_in(6);
        run.tokens = text_of(run.letters, run.is_restored ? 0 : random_.below(kPage));
        run.n_prompt = 1 + random_.below(run.tokens.size());
        if (run.is_restored) run.n_prompt = static_cast<std::uint32_t>(run.tokens.size());
        run.is_named = run.is_restored || random_.one_in(2);
        auto begun = cache_.begin(kDomain, std::span(run.tokens).first(run.n_prompt),
                                  static_cast<std::uint32_t>(run.tokens.size()), now_);
        if (begun.has_error()) {
            BOOST_REQUIRE((begun.error().code == ErrorCode::exhausted));
            return;
        }
        run.sequence = std::move(*begun);
        if (run.is_named) run.sequence.keep(KvCache::Keep::as_claimed);
        check(run);
        running_.push_back(std::move(run));
    }

    /// The window's pages hold the text before them.
    void check(const Run& run) const {
        const std::uint32_t n_tokens = run.sequence.n_tokens();
        for (std::uint32_t page = 0; page < n_tokens / kPage; ++page) {
            if (!is_in_window(kWindow, n_tokens, page) || run.passed.contains(page)) continue;
            BOOST_REQUIRE_EQUAL(content_[to_index(run.sequence.pages()[page])],
                                run.letters.substr(0, page + 1));
        }
    }

    /// The next page of what comes back from disk, unless it is not there either.
    void restore_page(std::size_t index) {
        Run& run = running_[index];
        const std::uint32_t page = run.sequence.n_tokens() / kPage;
        if (page == run.letters.size()) return end(index);
        const PageTokens tokens = std::span(run.tokens).subspan(page * kPage).first<kPage>();
        if (random_.one_in(2)) {
            run.sequence.pass(tokens);
            run.passed.insert(page);
            return;
        }
        if (run.sequence.max_step_tokens() < kPage) return end(index);
        content_[to_index(run.sequence.ensure_page(page))] = run.letters.substr(0, page + 1);
        run.sequence.append(tokens);
        run.sequence.commit(now_);
        check(run);
    }

    void step(std::size_t index) {
        Run& run = running_[index];
        if (run.is_restored) return restore_page(index);
        if (run.sequence.n_tokens() < run.n_prompt && random_.one_in(3))
            run.sequence.extend_match(std::span(run.tokens).first(run.n_prompt), now_);
        const std::size_t n_left = run.tokens.size() - run.sequence.n_tokens();
        const std::uint32_t n_most = run.sequence.max_step_tokens();
        const std::size_t n = std::min<std::size_t>({n_left, n_most, 1 + random_.below(kPage)});
        if (n_left == 0) return end(index);
        if (n == 0) {
            // Somebody further behind, or a pin, keeps it waiting.
            ++n_waits_;
            const auto is_free_to_go = [](Run& other) {
                return other.sequence.max_step_tokens() > 0;
            };
            BOOST_REQUIRE(std::ranges::any_of(running_, is_free_to_go) ||
                          cache_.stats().n_pinned > 0 || n_slots_ > 0);
            if (!std::ranges::any_of(running_, is_free_to_go)) end(index);
            return;
        }
        const std::uint32_t begin = run.sequence.n_tokens();
        check(run);
        for (std::size_t page = begin / kPage; page < (begin + n) / kPage; ++page)
            content_[to_index(run.sequence.ensure_page(static_cast<std::uint32_t>(page)))] =
                run.letters.substr(0, page + 1);
        run.sequence.append(std::span(run.tokens).subspan(begin, n));
        run.sequence.commit(now_);
        check(run);
    }

    void end(std::size_t index) {
        Run& run = running_[index];
        if (random_.one_in(8)) {
            run.sequence.discard();
        } else {
            run.sequence.commit(now_);
            if (run.is_named && run.sequence.tip() != kNoNode) {
                const BranchId branch = branches_[random_.below(branches_.size())];
                cache_.unpin_branch(branch);
                cache_.move_branch(branch, run.sequence.tip());
                last_ = run.letters.substr(0, run.sequence.n_tokens() / kPage);
            }
            run.sequence.release(now_);
        }
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
    }

    Random random_;
    std::uint32_t n_pages_;
    std::vector<std::string> content_;  // by page: the letters up to its own
    std::uint32_t n_slots_;
    Mover mover_;
    KvCache cache_;
    std::vector<BranchId> branches_;
    std::vector<Run> running_;
    std::string last_;
    std::uint64_t now_ = 0;
    std::uint64_t n_waits_ = 0;
};

}  // namespace

BOOST_DATA_TEST_CASE(random_sequences_see_their_own_text, data::xrange(n_seeds(60)), seed) {
    Trial trial(static_cast<std::uint64_t>(seed));
    trial.run(3000);
    BOOST_TEST(trial.n_reused() > 3000U);
    BOOST_TEST_MESSAGE("waits: " << trial.n_waits());
}

BOOST_AUTO_TEST_SUITE_END()
