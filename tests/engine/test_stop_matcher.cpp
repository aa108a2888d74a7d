#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <random>

#include "daemon/engine/stop_matcher.hpp"

namespace {

using namespace kvasir;

struct Outcome {
    std::string text;
    bool stopped = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Outcome& o) {
        return out << '"' << o.text << "\"" << (o.stopped ? " stopped" : "");
    }
};

/// The definition, byte by byte over the whole text.
Outcome naive(const std::vector<std::string>& stops, const std::string& text) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
        std::size_t longest = 0;
        for (const std::string& stop : stops) {
            if (!stop.empty() && text.substr(0, end).ends_with(stop))
                longest = std::max(longest, stop.size());
        }
        if (longest > 0) return {text.substr(0, end - longest), true};
    }
    return {text, false};
}

/// What must be held back of a text without a stop: the longest tail that begins a stop.
std::size_t naive_held(const std::vector<std::string>& stops, const std::string& text) {
    std::size_t held = 0;
    for (const std::string& stop : stops) {
        for (std::size_t n = 1; n < stop.size() && n <= text.size(); ++n) {
            if (text.ends_with(stop.substr(0, n))) held = std::max(held, n);
        }
    }
    return held;
}

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
    StopMatcher matcher(stops);
    Outcome outcome;
    for (const std::string& piece : pieces) {
        auto released = matcher.push(piece);
        outcome.text += released.text;
        outcome.stopped = released.stopped;
    }
    outcome.text += matcher.finish();
    return outcome;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stop_matcher)

BOOST_AUTO_TEST_CASE(without_stops_everything_passes_at_once) {
    StopMatcher matcher({});
    BOOST_TEST(matcher.push("once upon").text == "once upon");
    BOOST_TEST(matcher.push("").text == "");
    BOOST_TEST(matcher.finish() == "");
}

BOOST_AUTO_TEST_CASE(an_empty_stop_stops_nothing) {
    BOOST_TEST(run({""}, {"a", "b"}) == (Outcome{"ab", false}));
}

BOOST_AUTO_TEST_CASE(a_stop_across_pieces_is_found_and_not_sent) {
    StopMatcher matcher({"</end>"});
    BOOST_TEST(matcher.push("text</").text == "text");
    BOOST_TEST(matcher.push("en").text == "");
    const auto last = matcher.push("d> more");
    BOOST_TEST(last.stopped);
    BOOST_TEST(last.text == "");
    BOOST_TEST(matcher.push("more").stopped);
    BOOST_TEST(matcher.push("more").text == "");
    BOOST_TEST(matcher.finish() == "");
}

BOOST_AUTO_TEST_CASE(a_beginning_that_fails_is_released) {
    StopMatcher matcher({"</end>"});
    BOOST_TEST(matcher.push("a</e").text == "a");
    BOOST_TEST(matcher.push("x").text == "</ex");
    BOOST_TEST(matcher.push("<").text == "");
    BOOST_TEST(matcher.finish() == "<");
}

BOOST_AUTO_TEST_CASE(a_failed_beginning_may_contain_the_real_one) {
    BOOST_TEST(run({"aab"}, {"a", "a", "a", "b", "c"}) == (Outcome{"a", true}));
    BOOST_TEST(run({"abab!"}, {"abababab!"}) == (Outcome{"abab", true}));
}

BOOST_AUTO_TEST_CASE(the_stop_that_is_complete_first_wins) {
    BOOST_TEST(run({"abcd", "bc"}, {"xabcd"}) == (Outcome{"xa", true}));
    BOOST_TEST(run({"abcd", "bc"}, {"x", "a", "b", "c", "d"}) == (Outcome{"xa", true}));
    BOOST_TEST(run({"bc", "abc"}, {"xabc"}) == (Outcome{"x", true}));  // the longest of two
}

BOOST_AUTO_TEST_CASE(any_pieces_agree_with_the_definition) {
    std::mt19937 random(2024);
    const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    std::size_t n_stopped = 0;
    for (int round = 0; round < 20000; ++round) {
        const std::size_t n_letters = 1 + below(3);
        const auto word = [&](std::size_t length) {
            std::string text(length, 'a');
            for (char& c : text) c = static_cast<char>('a' + below(n_letters));
            return text;
        };
        std::vector<std::string> stops(below(5));
        for (std::string& stop : stops) stop = word(1 + below(7));
        const std::string text = word(below(30));
        const Outcome expected = naive(stops, text);
        StopMatcher matcher(stops);
        Outcome outcome;
        for (std::size_t at = 0; at < text.size() && !outcome.stopped;) {
            const std::size_t n = below(4);
            auto released = matcher.push(std::string_view(text).substr(at, n));
            at = std::min(text.size(), at + n);
            outcome.text += released.text;
            outcome.stopped = released.stopped;
            if (!outcome.stopped) {  // neither too little nor too much is held
                BOOST_REQUIRE_EQUAL(outcome.text.size() + naive_held(stops, text.substr(0, at)),
                                    at);
            }
        }
        outcome.text += matcher.finish();
        BOOST_REQUIRE_EQUAL(outcome, expected);
        n_stopped += outcome.stopped ? 1 : 0;
    }
    BOOST_TEST(n_stopped > 5000U);  // the test meets both outcomes
    BOOST_TEST(n_stopped < 18000U);
}

BOOST_AUTO_TEST_CASE(characters_stay_whole) {
    const std::string stop = "→fin←";
    StopMatcher matcher({stop});
    for (const std::string piece : {"é", "→", "f", "日", "→", "fin", "→"}) {
        const std::string text = matcher.push(piece).text;
        if (!text.empty()) {  // begins with a lead byte, never with a continuation
            BOOST_TEST((static_cast<unsigned char>(text[0]) & 0xC0) != 0x80);
        }
    }
    BOOST_TEST(matcher.finish() == "→");
}

BOOST_AUTO_TEST_CASE(a_long_text_of_near_misses_takes_linear_time) {
    const std::vector<std::string> stops(16, std::string(1000, 'a') + "b");
    StopMatcher matcher(stops);
    std::size_t n = 0;
    for (int i = 0; i < 200000; ++i) n += matcher.push("a").text.size();
    BOOST_TEST(n == 200000U - 1000U);
    BOOST_TEST(matcher.push("b").stopped);
}

BOOST_AUTO_TEST_SUITE_END()
