#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <random>
#include <set>

#include "daemon/engine/scheduler.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(scheduler)

BOOST_AUTO_TEST_CASE(decoding_requests_come_first_and_a_prompt_takes_what_is_left) {
    const std::vector<RequestFacts> requests = {{.n_pending = 300, .is_decoding = false},
                                                {.n_pending = 1, .is_decoding = true},
                                                {.n_pending = 1, .is_decoding = true}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 3);
    BOOST_TEST(plan[0].index == 1);
    BOOST_TEST(plan[1].index == 2);
    BOOST_TEST(plan[2].index == 0);
    BOOST_TEST(plan[2].n_tokens == 64);
}

BOOST_AUTO_TEST_CASE(a_prompt_alone_fills_the_step) {
    const std::vector<RequestFacts> requests = {{.n_pending = 300, .is_decoding = false}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 1);
    BOOST_TEST(plan[0].n_tokens == 256);
}

BOOST_AUTO_TEST_CASE(the_oldest_prompt_finishes_before_the_next_begins) {
    const std::vector<RequestFacts> requests = {{.n_pending = 100, .is_decoding = false},
                                                {.n_pending = 50, .is_decoding = false},
                                                {.n_pending = 200, .is_decoding = false}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 5);
    BOOST_REQUIRE_EQUAL(plan.size(), 3);
    BOOST_TEST(plan[0].n_tokens == 100);
    BOOST_TEST(plan[1].n_tokens == 50);
    BOOST_TEST(plan[2].n_tokens == 106);
}

BOOST_AUTO_TEST_CASE(a_prompt_that_waits_for_anothers_pages_has_no_share) {
    const std::vector<RequestFacts> requests = {
        {.n_pending = 40}, {.n_pending = 40, .is_waiting = true}, {.n_pending = 50}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 2);
    BOOST_TEST(plan[0].index == 0);
    BOOST_TEST(plan[1].index == 2);
}

BOOST_AUTO_TEST_CASE(the_background_has_one_step_of_many_while_others_compute) {
    const std::vector<RequestFacts> requests = {
        {.n_pending = 1, .is_decoding = true},
        {.n_pending = 1, .is_decoding = true, .is_background = true},
        {.n_pending = 300, .is_background = true}};
    const StepLimits limits{.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64};
    std::size_t n_background = 0;
    for (std::size_t rotation = 0; rotation < 10 * kBackgroundEvery; ++rotation) {
        const auto plan = plan_step(requests, limits, rotation);
        BOOST_TEST(std::ranges::count(plan, 0U, &StepShare::index) == 1);
        BOOST_TEST((plan.size() == 1 || plan.size() == 3));
        n_background += plan.size() == 3 ? 1 : 0;
    }
    BOOST_TEST(n_background == 10);
}

BOOST_AUTO_TEST_CASE(the_background_goes_on_where_others_wait_or_are_gone) {
    const StepLimits limits{.max_tokens = 256, .max_sequences = 8, .busy_prefill_tokens = 64};
    const std::vector<RequestFacts> alone = {{.n_pending = 300, .is_background = true}};
    const std::vector<RequestFacts> beside = {{.n_pending = 40, .is_waiting = true},
                                              {.n_pending = 300, .is_background = true}};
    for (std::size_t rotation = 0; rotation < kBackgroundEvery; ++rotation) {
        BOOST_TEST(plan_step(alone, limits, rotation).size() == 1);
        const auto plan = plan_step(beside, limits, rotation);
        BOOST_REQUIRE_EQUAL(plan.size(), 1);
        BOOST_TEST(plan[0].index == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_prompt_ends_where_open_slots_do_and_others_go_on) {
    // Two hold a slot each, a third takes one for the page it begins: of five, two are left.
    const std::vector<RequestFacts> requests = {
        {.n_pending = 300, .is_decoding = false, .n_open = 5},
        {.n_pending = 1, .is_decoding = true, .n_open = 0},
        {.n_pending = 1, .is_decoding = true, .n_open = 31}};
    const auto plan =
        plan_step(requests, {.max_tokens = 256, .max_sequences = 8, .n_open_slots = 5}, 0);
    BOOST_REQUIRE_EQUAL(plan.size(), 3);
    BOOST_TEST(plan[2].index == 0);
    BOOST_TEST(plan[2].n_tokens == 64);  // by busy_prefill_tokens
    const auto alone = plan_step(std::span(requests).first(1),
                                 {.max_tokens = 256, .max_sequences = 8, .n_open_slots = 3}, 0);
    BOOST_REQUIRE_EQUAL(alone.size(), 1);
    BOOST_TEST(alone[0].n_tokens == 27 + 64);
}

BOOST_AUTO_TEST_CASE(with_more_decoding_requests_than_fit_none_starves) {
    const std::vector<RequestFacts> requests(10, {.n_pending = 1, .is_decoding = true});
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
            r.n_open = random() % 3 == 0 ? 0 : static_cast<std::uint32_t>(random() % 32);
        }
        const auto has_slot = [](const RequestFacts& r) { return r.n_open > 0; };
        const auto n_held =
            static_cast<std::uint32_t>(std::count_if(requests.begin(), requests.end(), has_slot));
        const StepLimits limits{.max_tokens = 1 + static_cast<std::uint32_t>(random() % 300),
                                .max_sequences = 1 + static_cast<std::uint32_t>(random() % 8),
                                .n_open_slots = static_cast<std::uint32_t>(requests.size()) + 1 +
                                                static_cast<std::uint32_t>(random() % 10),
                                .busy_prefill_tokens = 64};
        const auto plan = plan_step(requests, limits, random());
        std::set<std::size_t> seen;
        std::uint32_t total = 0;
        std::uint32_t n_slots = n_held;
        for (const StepShare& share : plan) {
            const RequestFacts& r = requests[share.index];
            // Token by token: which one opens a page.
            for (std::uint32_t t = 0; t < share.n_tokens; ++t)
                n_slots += (r.n_open + t) % 32 == 0 ? 1 : 0;
            BOOST_REQUIRE(seen.insert(share.index).second);
            BOOST_REQUIRE(share.n_tokens > 0 && share.n_tokens <= requests[share.index].n_pending);
            total += share.n_tokens;
        }
        BOOST_REQUIRE(total <= limits.max_tokens);
        BOOST_REQUIRE(n_slots <= limits.n_open_slots);
        BOOST_REQUIRE(plan.size() <= limits.max_sequences);
        BOOST_REQUIRE(requests.empty() || !plan.empty());
    }
}

BOOST_AUTO_TEST_SUITE_END()
