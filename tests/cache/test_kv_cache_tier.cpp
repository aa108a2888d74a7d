// The host tier by hand: what moves there when the device is full, what comes back, what goes.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "tests/cache/holder_fixture.hpp"

using namespace kvasir;

namespace {

class Mover : public PageMover {
public:
    void save(PageId, HostSlot to) noexcept override { in_use_[to_index(to)] = true; }
    bool load(HostSlot from, PageId) noexcept override {
        return in_use_[to_index(from)] && !is_broken;
    }
    void drop(HostSlot slot) noexcept override { in_use_[to_index(slot)] = false; }
    bool is_broken = false;

private:
    std::vector<bool> in_use_ = std::vector<bool>(8);
};

struct WithMover {
    Mover mover;  // outlives the cache
};

struct Tiers : WithMover, HolderFixture {
    /// Longest unused goes first, the end of a path before its beginning.
    Tiers(std::uint32_t n_pages, std::uint32_t n_slots)
        : HolderFixture({.n_pages = n_pages,
                         .retention = RetentionPolicy::lru,
                         .n_host_slots = n_slots,
                         .mover = &mover}) {}
    Paths on_host() const {
        Paths paths;
        for (std::uint32_t i = 0; i < cache.tree().id_limit(); ++i)
            if (cache.tree().contains(NodeId{i}) && !cache.tree().is_resident(NodeId{i}))
                paths.insert(path_of(NodeId{i}));
        return paths;
    }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(kv_cache_tier)

BOOST_AUTO_TEST_CASE(what_the_device_has_no_room_for_goes_to_the_host_and_comes_back) {
    Tiers t(3, 3);
    t.ask("abc");
    t.ask("xy");
    BOOST_TEST(t.on_host() == (Paths{"1:abc", "1:ab"}));
    BOOST_TEST(t.pages() == (Paths{"1:a", "1:ab", "1:abc", "1:x", "1:xy"}));
    BOOST_TEST(t.ask("abc") == 3U);
    BOOST_TEST(t.cache.stats().n_loaded == 2U);
    BOOST_TEST(t.on_host() == (Paths{"1:x", "1:xy"}));
    BOOST_TEST(t.cache.stats().n_evicted_for_space == 0U);
}

/// The last slot's page follows the very page that it is freed for.
BOOST_AUTO_TEST_CASE(a_page_takes_the_slot_of_the_one_that_follows_it) {
    Tiers t(2, 1);
    t.ask("ab");
    t.ask("x");
    BOOST_TEST(t.on_host() == (Paths{"1:ab"}));
    t.ask("y");
    BOOST_TEST(t.on_host() == (Paths{"1:a"}));
    BOOST_TEST(t.pages() == (Paths{"1:a", "1:x", "1:y"}));
    BOOST_TEST(t.ask("ab") == 1U);
    BOOST_TEST(t.cache.trim(8) == 3U);
    BOOST_TEST(t.pages().empty());
    BOOST_TEST(t.cache.stats().n_on_host == 0U);
}

BOOST_AUTO_TEST_CASE(a_page_that_cannot_be_read_back_is_computed_anew_in_its_place) {
    Tiers t(3, 4);
    t.ask("abc", "s");
    t.ask("xy", "s");
    t.mover.is_broken = true;
    BOOST_TEST(t.ask("abc", "s") == 1U);
    BOOST_TEST((t.tips(*t.find("s")) == std::vector<std::string>{"1:xy", "1:abc"}));
    BOOST_TEST(t.on_host() == (Paths{"1:x", "1:xy"}));
    BOOST_TEST(t.cache.stats().n_loaded == 0U);
}

/// No slot is left but those of the pages being fetched: what makes room for them goes for good.
BOOST_AUTO_TEST_CASE(a_fetch_never_drops_what_it_is_about_to_fetch) {
    Tiers t(3, 2);
    t.ask("abc");
    t.ask("xy");
    BOOST_TEST(t.ask("abc") == 3U);
    BOOST_TEST(t.cache.stats().n_evicted_for_space == 1U);
    BOOST_TEST(t.pages() == (Paths{"1:a", "1:ab", "1:abc", "1:x"}));
}

BOOST_AUTO_TEST_CASE(ends_and_time_free_pages_on_the_host_too) {
    Tiers t(3, 4);
    t.ask("abc", "s");
    t.ask("xyz");
    t.ask("u", "t");
    BOOST_TEST(t.on_host() == (Paths{"1:a", "1:ab", "1:abc", "1:xyz"}));
    BOOST_TEST(t.holders.pages(*t.find("s")).n_on_host == 3U);
    BOOST_TEST(t.holders.end(*t.find("s")).n_pages == 3U);
    t.cache.check_invariants();
    BOOST_TEST(t.cache.expire_anonymous(t.now_ms + 1).n_pages == 3U);
    BOOST_TEST(t.pages() == (Paths{"1:u"}));
    BOOST_TEST(t.cache.stats().n_on_host == 0U);
    t.cache.check_invariants();
}

BOOST_AUTO_TEST_SUITE_END()
