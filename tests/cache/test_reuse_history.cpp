#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <list>

#include "cache/reuse_history.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(reuse_history)

BOOST_AUTO_TEST_CASE(a_wait_ends_once_and_is_learned_from) {
    ReuseHistory history(10);
    history.begin_wait(1234, 5, 7, 100);
    const auto wait = history.end_wait(1234, 140);
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(wait->n_hits == 7U);
    BOOST_TEST(!history.end_wait(1234, 150).has_value());
    const ReuseStatistics statistics = history.statistics(200);
    BOOST_TEST(statistics.n_asked_for(5, age_bucket(40)) == 1.0);
    BOOST_TEST(statistics.waiting(5)[0] == 16.0);
}

BOOST_AUTO_TEST_CASE(a_wait_that_stands_counts_as_unasked_so_far) {
    ReuseHistory history(10);
    history.begin_wait(1234, 5, 0, 100);
    const ReuseStatistics statistics = history.statistics(110);
    BOOST_TEST(statistics.waiting(5)[0] == 10.0);
    BOOST_TEST(statistics.n_asked_for(5, 0) == 0.0);
}

BOOST_AUTO_TEST_CASE(what_is_forgotten_was_never_seen) {
    ReuseHistory history(10);
    history.begin_wait(1234, 5, 0, 100);
    history.forget(1234);
    history.forget(99);
    BOOST_TEST(history.statistics(200).waiting(5)[0] == 0.0);
    BOOST_TEST(!history.end_wait(1234, 300).has_value());
    history.check_invariants();
}

BOOST_AUTO_TEST_CASE(the_oldest_wait_makes_room) {
    ReuseHistory history(1);
    std::uint64_t n = 0;
    for (; history.n_waits() == n; ++n) history.begin_wait(n + 1, 0, 0, n);
    BOOST_TEST(!history.end_wait(1, n).has_value());
    BOOST_TEST(history.end_wait(2, n).has_value());
    history.check_invariants();
}

BOOST_AUTO_TEST_CASE(a_large_cache_remembers_a_sample) {
    ReuseHistory history(1U << 20);
    Random random(1);
    std::uint32_t n_sampled = 0;
    for (int i = 0; i < 100000; ++i) {
        const PathHash path = random.bits();
        n_sampled += history.samples(path) ? 1 : 0;
        history.begin_wait(path, 0, 0, 1);
        BOOST_REQUIRE(history.end_wait(path, 2).has_value() == history.samples(path));
    }
    BOOST_TEST(n_sampled > 1200U);  // one in 64
    BOOST_TEST(n_sampled < 2000U);
}

BOOST_DATA_TEST_CASE(it_equals_a_list, boost::unit_test::data::xrange(4), seed) {
    struct Item {
        PathHash path;
        std::uint32_t n_hits;
    };
    Random random(static_cast<std::uint64_t>(seed));
    ReuseHistory history(10);
    constexpr std::size_t kCapacity = 4096;
    std::list<Item> model;
    const auto erase = [&](PathHash path) {
        return model.remove_if([&](const Item& item) { return item.path == path; });
    };
    for (std::uint64_t step = 0; step < 12000; ++step) {
        const PathHash path = random.below(5000) << 8;
        if (random.one_in(16)) {
            const auto wait = history.end_wait(path, step);
            for (const Item& item : model)
                if (item.path == path) BOOST_REQUIRE(wait->n_hits == item.n_hits);
            BOOST_REQUIRE(erase(path) == (wait.has_value() ? 1U : 0U));
        } else {
            const std::uint32_t n_hits = random.below(100);
            history.begin_wait(path, random.below(kRetentionClasses), n_hits, step);
            erase(path);
            if (model.size() == kCapacity) model.pop_front();
            model.push_back({path, n_hits});
        }
        BOOST_REQUIRE(history.n_waits() == model.size());
        if (step % 1000 == 0) history.check_invariants();
    }
}

BOOST_AUTO_TEST_SUITE_END()
