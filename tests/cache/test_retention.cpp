#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

#include "cache/retention.hpp"

using namespace kvasir;

namespace {

/// The same index by trying every holding time in small steps, hazard constant within buckets.
double value_by_trying(const ReuseStatistics& statistics, std::uint32_t c, std::uint32_t from) {
    const auto waiting = statistics.waiting(c);
    double alive = 1;
    double spent = 0;
    double best = 0;
    for (std::uint32_t b = from; b < 30; ++b) {
        const double width = static_cast<double>(age_bucket_begin(b + 1) - age_bucket_begin(b));
        const double hazard = waiting[b] > 0 ? statistics.n_asked_for(c, b) / waiting[b] : 0;
        const int n_steps = 2000;
        for (int i = 0; i < n_steps; ++i) {
            const double step = width / n_steps;
            spent += alive * step;
            alive *= 1 - hazard * step;
        }
        best = std::max(best, (1 - alive) / spent);
    }
    return best;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(retention)

BOOST_AUTO_TEST_CASE(lru_drops_what_was_used_longest_ago) {
    const PageFacts old{.entered = 5, .last_use = 10};
    const PageFacts recent{.entered = 1, .last_use = 11};
    BOOST_TEST(
        (eviction_rank(RetentionPolicy::lru, old) < eviction_rank(RetentionPolicy::lru, recent)));
}

BOOST_AUTO_TEST_CASE(fifo_drops_what_came_first) {
    const PageFacts old{.entered = 1, .last_use = 11};
    const PageFacts recent{.entered = 5, .last_use = 10};
    BOOST_TEST(
        (eviction_rank(RetentionPolicy::fifo, old) < eviction_rank(RetentionPolicy::fifo, recent)));
}

BOOST_AUTO_TEST_CASE(of_pages_used_at_one_moment_the_deepest_goes_first) {
    for (const RetentionPolicy policy :
         {RetentionPolicy::lru, RetentionPolicy::fifo, RetentionPolicy::kvasir}) {
        const PageFacts deep{.entered = 3, .last_use = 3, .depth = 9};
        const PageFacts shallow{.entered = 3, .last_use = 3, .depth = 2};
        BOOST_TEST((eviction_rank(policy, deep) < eviction_rank(policy, shallow)));
    }
}

BOOST_AUTO_TEST_CASE(age_buckets_tile_all_ages) {
    for (std::uint64_t age = 0; age < 100000; ++age) {
        const std::uint32_t bucket = age_bucket(age);
        BOOST_REQUIRE(age_bucket_begin(bucket) <= age);
        BOOST_REQUIRE(age < age_bucket_begin(bucket + 1));
    }
    BOOST_TEST(age_bucket(std::numeric_limits<std::uint64_t>::max()) == kAgeBuckets - 1);
    BOOST_TEST(age_bucket(age_bucket_begin(kAgeBuckets - 1) - 1) == kAgeBuckets - 2);
}

BOOST_AUTO_TEST_CASE(classes_tell_hits_known_openings_and_tails_apart) {
    const PageFacts page{.depth = 3, .n_hits = 0, .last_n_known = 0, .last_n_pages = 8};
    PageFacts tail = page;
    tail.depth = 7;
    PageFacts hit = page;
    hit.n_hits = 1;
    PageFacts continued = page;
    continued.last_n_known = 6;
    BOOST_TEST(retention_class(page) != retention_class(tail));
    BOOST_TEST(retention_class(page) != retention_class(hit));
    BOOST_TEST(retention_class(page) != retention_class(continued));
    // Whatever the facts, the class is one of the table's.
    for (std::uint32_t depth : {0U, 1U, 1000000U}) {
        for (std::uint32_t n_hits : {0U, 4U, 0xffffffffU})
            for (std::uint32_t n : {0U, 1U, 2000000U}) {
                const PageFacts odd{
                    .depth = depth, .n_hits = n_hits, .last_n_known = n, .last_n_pages = n};
                BOOST_TEST(retention_class(odd) < kRetentionClasses);
            }
    }
}

BOOST_AUTO_TEST_CASE(waiting_is_the_age_spent_in_each_bucket) {
    ReuseStatistics statistics;
    statistics.add(2, 20, true);   // 16 in the first bucket, 4 in the next
    statistics.add(2, 5, false);   // 5 in the first
    statistics.add(2, 24, false);  // 16, 8 and nothing of the third
    const auto waiting = statistics.waiting(2);
    BOOST_TEST(waiting[0] == 37.0);
    BOOST_TEST(waiting[1] == 12.0);
    BOOST_TEST(waiting[2] == 0.0);
    BOOST_TEST(statistics.n_asked_for(2, 1) == 1.0);
    BOOST_TEST(statistics.n_asked_for(2, 0) == 0.0);
    statistics.forget_half();
    BOOST_TEST(statistics.waiting(2)[0] == 18.5);
    BOOST_TEST(statistics.waiting(3)[0] == 0.0);
}

BOOST_AUTO_TEST_CASE(without_evidence_the_order_is_lru) {
    const KeepValues values = make_keep_values({}, 1000);
    for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
        for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
            BOOST_TEST(values.values[c][b] == values.values[0][b]);
            if (b > 0) BOOST_TEST(values.values[c][b] < values.values[c][b - 1]);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_class_with_little_evidence_leans_on_its_neighbours) {
    ReuseStatistics statistics;
    for (std::uint64_t i = 0; i < 20000; ++i) statistics.add(4, 50 + i % 100, i % 2 == 0);
    const double alone = make_keep_values({}, 1000).of(5, 20);
    const KeepValues values = make_keep_values(statistics, 1000);
    BOOST_TEST(values.of(5, 20) > 2 * alone);  // as often asked for, known to another degree
    BOOST_TEST(values.of(9, 20) > alone);      // all pages do better than was guessed
    BOOST_TEST(values.of(4, 20) >= values.of(9, 20));
}

BOOST_AUTO_TEST_CASE(with_much_evidence_the_value_is_the_best_rate_over_all_holding_times) {
    // People answer after about 1,000 pages; most never do.
    ReuseStatistics statistics;
    for (int i = 0; i < 300000; ++i) {
        const bool returns = i % 3 == 0;
        statistics.add(0, returns ? 700 + static_cast<std::uint64_t>(i) % 600 : 200000, returns);
    }
    const KeepValues values = make_keep_values(statistics, 500);
    for (const std::uint64_t age : {0U, 100U, 600U, 800U, 1000U, 1300U}) {
        const std::uint32_t bucket = age_bucket(age);
        BOOST_TEST(values.values[0][bucket] == value_by_trying(statistics, 0, bucket),
                   boost::test_tools::tolerance(0.01));
    }
    // Just before the answers a page is worth more than fresh, and afterwards next to nothing.
    BOOST_TEST(values.of(0, 600) > 1.5 * values.of(0, 0));
    BOOST_TEST(values.of(0, 3000) < 0.1 * values.of(0, 0));
}

BOOST_AUTO_TEST_CASE(segments_tile_all_ages_and_values_move_one_way_inside) {
    ReuseStatistics statistics;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        statistics.add(3, 300 + i % 100, i % 2 == 0);
        statistics.add(3, 9000 + i % 100, i % 3 == 0);
    }
    const KeepValues values = make_keep_values(statistics, 500);
    for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
        std::uint64_t next = 0;
        for (const ValueSegment& segment : values.segments[c]) {
            BOOST_REQUIRE(segment.begin == next);
            next = segment.end;
            for (std::uint32_t b = age_bucket(segment.begin) + 1;
                 b < kAgeBuckets && age_bucket_begin(b) < segment.end; ++b)
                BOOST_TEST((values.values[c][b] > values.values[c][b - 1]) == segment.rising);
        }
        BOOST_TEST(next == std::numeric_limits<std::uint64_t>::max());
    }
    BOOST_TEST(values.segments[3].size() > 2U);
}

BOOST_AUTO_TEST_SUITE_END()
