#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "cache/eviction_order.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

namespace {

constexpr std::uint32_t kMaxIds = 200;

ReuseStatistics random_statistics(Random& random) {
    ReuseStatistics statistics;
    for (int i = 0; i < 3000; ++i) {
        const std::uint32_t c = random.below(kRetentionClasses);
        const std::uint64_t peak = 100 + 150 * c;  // a class, a habit
        const bool returns = random.one_in(2 + c % 4);
        statistics.add(c, returns ? peak + random.below(100) : random.below(5000), returns);
    }
    return statistics;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(eviction_order)

BOOST_AUTO_TEST_CASE(the_first_is_the_smallest_rank_and_then_the_smallest_id) {
    EvictionOrder order(10);
    order.insert(7, {.age_key = 2});
    order.insert(3, {.age_key = 1, .shallowness = 9});
    order.insert(9, {.age_key = 1, .shallowness = 1});
    order.insert(2, {.age_key = 2});
    BOOST_TEST(order.pop_first() == 9U);
    BOOST_TEST(order.pop_first() == 3U);
    BOOST_TEST(order.pop_first() == 2U);
    BOOST_TEST(order.pop_first() == 7U);
    BOOST_TEST(order.empty());
}

BOOST_DATA_TEST_CASE(by_rank_it_equals_a_sorted_set, boost::unit_test::data::xrange(5), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    EvictionOrder order(kMaxIds);
    std::set<std::pair<EvictionRank, std::uint32_t>> model;
    std::vector<EvictionRank> ranks(kMaxIds);
    for (int step = 0; step < 50000; ++step) {
        const std::uint32_t id = random.below(kMaxIds);
        if (random.one_in(8) && !order.empty()) {
            BOOST_REQUIRE(order.pop_first() == model.begin()->second);
            model.erase(model.begin());
        } else if (order.contains(id)) {
            order.erase(id);
            BOOST_REQUIRE(model.erase({ranks[id], id}) == 1U);
        } else {
            ranks[id] = {.age_key = random.below(20), .shallowness = random.below(3)};
            order.insert(id, ranks[id]);
            model.insert({ranks[id], id});
        }
        BOOST_REQUIRE(order.size() == model.size());
        if (step % 500 == 0) order.check_invariants();
    }
}

BOOST_DATA_TEST_CASE(by_value_it_finds_what_a_look_at_every_id_finds,
                     boost::unit_test::data::xrange(6), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    EvictionOrder order(kMaxIds);
    KeepValues values = make_keep_values(random_statistics(random), 300);
    std::map<std::uint32_t, std::pair<EvictionRank, std::uint32_t>> model;  // id: rank, class
    std::uint64_t use_clock = 0;
    for (int step = 0; step < 20000; ++step) {
        use_clock += random.below(40);
        const std::uint32_t id = random.below(kMaxIds);
        if (step % 2000 == 0) values = make_keep_values(random_statistics(random), 300);
        if (random.one_in(3) && !order.empty()) {
            double least = 1e300;
            for (const auto& [other, entry] : model)
                least = std::min(least, values.of(entry.second, use_clock - entry.first.age_key));
            const std::uint32_t popped = order.pop_least_valued(values, use_clock);
            const auto& entry = model.at(popped);
            BOOST_REQUIRE(values.of(entry.second, use_clock - entry.first.age_key) == least);
            model.erase(popped);
        } else if (!order.contains(id)) {
            const std::uint64_t age = std::min<std::uint64_t>(random.below(6000), use_clock);
            const EvictionRank rank{.age_key = use_clock - age, .shallowness = random.below(9)};
            const std::uint32_t c = random.below(kRetentionClasses);
            order.insert(id, rank, c);
            model[id] = {rank, c};
        } else if (random.one_in(4)) {
            order.erase(id);
            model.erase(id);
        }
        BOOST_REQUIRE(order.size() == model.size());
        if (step % 500 == 0) order.check_invariants();
    }
}

BOOST_AUTO_TEST_SUITE_END()
