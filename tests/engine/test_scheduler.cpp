#include <boost/test/unit_test.hpp>
#include <numeric>
#include <random>
#include <set>

#include "daemon/engine/scheduler.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(scheduler)

BOOST_AUTO_TEST_CASE(decoding_requests_come_first_and_a_prompt_takes_what_is_left) {
    const std::vector<RequestFacts> requests = {{300, false}, {1, true}, {1, true}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 3);
    BOOST_TEST(plan[0].index == 1);
    BOOST_TEST(plan[1].index == 2);
    BOOST_TEST(plan[2].index == 0);
    BOOST_TEST(plan[2].n_tokens == 64);
}

BOOST_AUTO_TEST_CASE(a_prompt_alone_fills_the_step) {
    const std::vector<RequestFacts> requests = {{300, false}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 1);
    BOOST_TEST(plan[0].n_tokens == 256);
}

BOOST_AUTO_TEST_CASE(the_oldest_prompt_finishes_before_the_next_begins) {
    const std::vector<RequestFacts> requests = {{100, false}, {50, false}, {200, false}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 5);
    BOOST_REQUIRE_EQUAL(plan.size(), 3);
    BOOST_TEST(plan[0].n_tokens == 100);
    BOOST_TEST(plan[1].n_tokens == 50);
    BOOST_TEST(plan[2].n_tokens == 106);
}

BOOST_AUTO_TEST_CASE(with_more_decoding_requests_than_fit_none_starves) {
    const std::vector<RequestFacts> requests(10, {1, true});
    std::vector<int> turns(requests.size());
    for (std::size_t step = 0; step < 100; ++step) {
        for (const StepShare& share : plan_step(
                 requests, {.max_tokens = 4, .max_sequences = 4, .busy_prefill_tokens = 64}, step))
            ++turns[share.index];
    }
    for (const int n : turns) BOOST_TEST(n == 40);
}

BOOST_AUTO_TEST_CASE(any_plan_keeps_the_limits_and_names_each_request_once) {
    std::mt19937 random(7);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<RequestFacts> requests(random() % 12);
        for (RequestFacts& r : requests) {
            r.is_decoding = random() % 2 == 0;
            r.n_pending = r.is_decoding ? 1 : 1 + static_cast<std::uint32_t>(random() % 600);
        }
        const StepLimits limits{.max_tokens = 1 + static_cast<std::uint32_t>(random() % 300),
                                .max_sequences = 1 + static_cast<std::uint32_t>(random() % 8),
                                .busy_prefill_tokens = 64};
        const auto plan = plan_step(requests, limits, random());
        std::set<std::size_t> seen;
        std::uint32_t total = 0;
        for (const StepShare& share : plan) {
            BOOST_REQUIRE(seen.insert(share.index).second);
            BOOST_REQUIRE(share.n_tokens > 0 && share.n_tokens <= requests[share.index].n_pending);
            total += share.n_tokens;
        }
        BOOST_REQUIRE(total <= limits.max_tokens);
        BOOST_REQUIRE(plan.size() <= limits.max_sequences);
        BOOST_REQUIRE(requests.empty() || !plan.empty());
    }
}

BOOST_AUTO_TEST_SUITE_END()
