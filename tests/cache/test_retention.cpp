#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <set>
#include <utility>
#include <vector>

#include "cache/retention.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(retention)

BOOST_AUTO_TEST_CASE(lru_drops_what_was_used_longest_ago) {
    const PageFacts old{.entered_tick = 5, .last_use_tick = 10};
    const PageFacts recent{.entered_tick = 1, .last_use_tick = 11};
    BOOST_TEST(
        (eviction_rank(RetentionPolicy::lru, old) < eviction_rank(RetentionPolicy::lru, recent)));
}

BOOST_AUTO_TEST_CASE(fifo_drops_what_came_first) {
    const PageFacts old{.entered_tick = 1, .last_use_tick = 11};
    const PageFacts recent{.entered_tick = 5, .last_use_tick = 10};
    BOOST_TEST(
        (eviction_rank(RetentionPolicy::fifo, old) < eviction_rank(RetentionPolicy::fifo, recent)));
}

BOOST_AUTO_TEST_CASE(of_pages_used_at_one_moment_the_deepest_goes_first) {
    for (const RetentionPolicy policy : {RetentionPolicy::lru, RetentionPolicy::fifo}) {
        const PageFacts deep{.entered_tick = 3, .last_use_tick = 3, .depth = 9};
        const PageFacts shallow{.entered_tick = 3, .last_use_tick = 3, .depth = 2};
        BOOST_TEST((eviction_rank(policy, deep) < eviction_rank(policy, shallow)));
    }
}

BOOST_AUTO_TEST_CASE(the_queue_gives_ids_in_order_of_rank_and_then_of_id) {
    EvictionQueue queue(10);
    queue.insert(7, {.first = 2});
    queue.insert(3, {.first = 1, .second = 9});
    queue.insert(9, {.first = 1, .second = 1});
    queue.insert(2, {.first = 2});
    BOOST_TEST(queue.pop() == 9U);
    BOOST_TEST(queue.pop() == 3U);
    BOOST_TEST(queue.pop() == 2U);
    BOOST_TEST(queue.pop() == 7U);
    BOOST_TEST(queue.empty());
}

BOOST_DATA_TEST_CASE(the_queue_equals_a_sorted_set, boost::unit_test::data::xrange(5), seed) {
    constexpr std::uint32_t kMaxIds = 200;
    Random random(static_cast<std::uint64_t>(seed));
    EvictionQueue queue(kMaxIds);
    std::set<std::pair<EvictionRank, std::uint32_t>> model;
    std::vector<EvictionRank> ranks(kMaxIds);
    for (int step = 0; step < 100000; ++step) {
        const std::uint32_t id = random.below(kMaxIds);
        if (random.one_in(8) && !queue.empty()) {
            BOOST_REQUIRE(queue.pop() == model.begin()->second);
            model.erase(model.begin());
        } else if (queue.contains(id)) {
            queue.erase(id);
            BOOST_REQUIRE(model.erase({ranks[id], id}) == 1U);
        } else {
            ranks[id] = {.first = random.below(20), .second = random.below(3)};
            queue.insert(id, ranks[id]);
            model.insert({ranks[id], id});
        }
        BOOST_REQUIRE(queue.size() == model.size());
        if (step % 500 == 0) queue.check_invariants();
    }
}

BOOST_AUTO_TEST_SUITE_END()
