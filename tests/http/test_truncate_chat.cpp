#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "daemon/http/truncate_chat.hpp"

namespace kvasir {
namespace {

constexpr ChatRole S = ChatRole::system;
constexpr ChatRole U = ChatRole::user;
constexpr ChatRole A = ChatRole::assistant;

using Sizes = std::vector<MessageSize>;

std::uint32_t n_left(const Sizes& sizes, std::size_t first) {
    std::uint32_t n = 0;
    bool is_leading = true;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        is_leading = is_leading && sizes[i].role == S;
        if (is_leading || i >= first) n += sizes[i].n_tokens;
    }
    return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(truncate_chat)

BOOST_AUTO_TEST_CASE(what_fits_stays_whole) {
    const Sizes sizes = {{S, 10}, {U, 20}, {A, 20}, {U, 20}};
    BOOST_TEST(first_kept_message(sizes, 5, 76) == 1U);
    BOOST_TEST(first_kept_message(sizes, 5, 75) == 3U);  // 75 tokens leave none to answer
    BOOST_TEST(first_kept_message({}, 5, 10) == 0U);
}

BOOST_AUTO_TEST_CASE(whole_turns_go_until_three_quarters_are_left) {
    const Sizes sizes = {{S, 10}, {U, 10}, {A, 20}, {A, 5}, {U, 10},
                         {A, 20}, {U, 10}, {A, 20}, {U, 5}};
    // 110 of 110: the first turn (35) leaves 75, at most 82 may stay.
    BOOST_TEST(first_kept_message(sizes, 0, 110) == 4U);
    // Of 100, 75 is three quarters.
    BOOST_TEST(first_kept_message(sizes, 0, 100) == 4U);
    BOOST_TEST(first_kept_message(sizes, 0, 96) == 6U);
}

BOOST_AUTO_TEST_CASE(the_last_turn_stays_even_if_it_does_not_fit) {
    const Sizes sizes = {{S, 10}, {U, 10}, {A, 10}, {U, 1000}};
    BOOST_TEST(first_kept_message(sizes, 0, 100) == 3U);
    BOOST_TEST(first_kept_message(Sizes{{U, 1000}}, 0, 100) == 0U);
    BOOST_TEST(first_kept_message(Sizes{{S, 1000}}, 0, 100) == 1U);
}

BOOST_AUTO_TEST_CASE(the_cut_stays_until_it_overflows_again) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        Sizes sizes = {{S, 20}};
        constexpr std::uint32_t kContext = 400;
        std::size_t first = 1;
        int n_cuts = 0;
        int n_turns = 0;
        for (int turn = 0; turn < 60; ++turn) {
            sizes.push_back({U, 5 + static_cast<std::uint32_t>(random() % 30)});
            const std::size_t now = first_kept_message(sizes, 4, kContext);
            BOOST_TEST_REQUIRE(now >= first);
            BOOST_TEST_REQUIRE(4 + n_left(sizes, now) < kContext);
            if (now != first) {
                // Only because it overflowed with the old cut, and then to three quarters.
                BOOST_TEST_REQUIRE(4 + n_left(sizes, first) >= kContext);
                BOOST_TEST_REQUIRE(4 + n_left(sizes, now) <= kContext * 3 / 4);
                BOOST_TEST_REQUIRE((sizes[now].role == U));
                ++n_cuts;
            }
            first = now;
            ++n_turns;
            sizes.push_back({A, 5 + static_cast<std::uint32_t>(random() % 30)});
        }
        BOOST_TEST(n_cuts >= 5);
        BOOST_TEST(n_cuts <= n_turns / 2);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
