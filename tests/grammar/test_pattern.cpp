#include <boost/json/value.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>
#include <regex>

#include "daemon/grammar/number_text.hpp"
#include "daemon/grammar/pattern.hpp"
#include "daemon/grammar/text_automaton.hpp"

using namespace kvasir;
using namespace kvasir::grammar;
namespace data = boost::unit_test::data;

namespace {

bool finds(const std::string& pattern, std::string_view text) {
    Budget budget;
    return parse_pattern(pattern, budget).value().accepts(code_points(text).value());
}

std::string random_pattern(std::mt19937& random, int depth) {
    const auto pick = [&random](std::size_t n) { return random() % n; };
    const std::vector<std::string> atoms{"a",    "b",    "c",   "0",   "\\d",
                                         "[ab]", "[^b]", "\\w", "\\.", "[a-c0]"};
    std::string whole;
    for (std::size_t n = 1 + pick(3); n > 0; --n) {
        std::string atom = atoms[pick(atoms.size())];
        if (depth > 0 && pick(3) == 0)
            atom = "(?:" + random_pattern(random, depth - 1) + "|" +
                   random_pattern(random, depth - 1) + ")";
        const std::vector<std::string> repeats{"",    "",      "",      "*",    "+", "?",
                                               "{2}", "{1,2}", "{0,1}", "{2,}", "*?"};
        whole += atom + repeats[pick(repeats.size())];
    }
    return whole;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pattern)

BOOST_AUTO_TEST_CASE(finds_what_the_standard_library_finds) {
    std::mt19937 random(5);
    std::size_t n_found = 0;
    for (int round = 0; round < 300; ++round) {
        std::string source = random_pattern(random, 1);
        if (random() % 2 == 0) source = "^" + source;
        if (random() % 2 == 0) source += "$";
        const std::regex reference(source, std::regex::ECMAScript);
        Budget budget;
        const Dfa dfa = parse_pattern(source, budget).value();
        for (int k = 0; k < 40; ++k) {
            std::string text;
            for (std::size_t n = random() % 7; n > 0; --n) text += "abc0.-"[random() % 6];
            const bool found = std::regex_search(text, reference);
            n_found += found ? 1 : 0;
            if (dfa.accepts(code_points(text).value()) != found)
                BOOST_ERROR(source << " in " << text);
        }
    }
    BOOST_TEST(n_found > 1000U);
}

BOOST_AUTO_TEST_CASE(characters_beyond_ascii_and_escapes) {
    BOOST_TEST(finds("^.$", "🦊"));
    BOOST_TEST(!finds("^.$", "\n"));
    BOOST_TEST(finds("^\\u{1F98A}$", "🦊"));
    BOOST_TEST(finds("^\\ud83e\\udd8a$", "🦊"));
    BOOST_TEST(finds("^[é-ü]+$", "éöü"));
    BOOST_TEST(!finds("^[^é-ü]+$", "aéb"));
    BOOST_TEST(finds("^\\s$", "\xC2\xA0"));
    BOOST_TEST(finds("\\x41\\/\\-", "..A/-"));
    BOOST_TEST(finds("^a|b$", "axx"));
    BOOST_TEST(finds("^a|b$", "xxb"));
    BOOST_TEST(!finds("^a|b$", "xax"));
    BOOST_TEST(finds("", "anything"));
}

BOOST_DATA_TEST_CASE(
    what_is_not_regular_or_not_a_pattern_is_refused,
    data::make({"(?=a)b",
                "(?!a)",
                "(?<=a)b",
                "(?<!a)",
                "\\bword",
                "\\1(a)",
                "\\p{L}",
                "(a",
                "a)",
                "[a",
                "a**",
                "*a",
                "a{2,1}",
                "a{99999}",
                "\\",
                "[z-a]",
                "a{",
                "(?i)a",
                "x^a",
                "a$b",
                "(a$)",
                "\\q",
                "((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))",
                "((a{100}){100}){100}",
                "(a|aa|b){500}c(a|b){500}"}),
    source) {
    Budget budget;
    BOOST_TEST(parse_pattern(source, budget).has_error());
}

BOOST_AUTO_TEST_CASE(an_exponential_automaton_is_refused) {
    Budget budget;
    BOOST_TEST(parse_pattern("^(a|b)*a(a|b){24}$", budget).has_error());
}

BOOST_AUTO_TEST_CASE(formats_know_their_examples) {
    const std::vector<std::tuple<const char*, const char*, bool>> examples{
        {"date", "2024-02-29", true},
        {"date", "2023-02-29", false},
        {"date", "1900-02-29", false},
        {"date", "2000-02-29", true},
        {"date", "2024-04-31", false},
        {"date", "2024-13-01", false},
        {"time", "23:59:59Z", true},
        {"time", "24:00:00Z", false},
        {"time", "12:00:00.5+02:00", true},
        {"time", "12:00:00", false},
        {"date-time", "2024-01-31T00:00:00Z", true},
        {"date-time", "2024-01-31 00:00:00Z", false},
        {"duration", "P3Y6M4DT12H30M5S", true},
        {"duration", "P", false},
        {"duration", "PT", false},
        {"duration", "P2W", true},
        {"duration", "P1Y1D", false},
        {"ipv4", "255.0.12.1", true},
        {"ipv4", "256.0.0.1", false},
        {"ipv4", "01.2.3.4", false},
        {"ipv6", "::", true},
        {"ipv6", "1:2:3:4:5:6:7:8", true},
        {"ipv6", "1::8", true},
        {"ipv6", "1:2:3:4:5:6:7:8:9", false},
        {"ipv6", "1:::2", false},
        {"ipv6", "1:2:3:4:5:6:7::", false},
        {"uuid", "123e4567-e89b-12d3-a456-426614174000", true},
        {"uuid", "123e4567", false},
        {"email", "a.b+c@example.org", true},
        {"email", ".a@example.org", false},
        {"email", "a@-example.org", false},
        {"hostname", "a-b.example", true},
        {"hostname", "-a", false},
        {"uri", "https://example.org/a%20b?q=1#f", true},
        {"uri", "example.org", false},
        {"json-pointer", "/a~1b/~0", true},
        {"json-pointer", "a", false},
        {"byte", "QUJD", true},
        {"byte", "QUJ", false}};
    for (const auto& [format, text, is_valid] : examples) {
        const Dfa* dfa = find_format(format);
        BOOST_REQUIRE(dfa != nullptr);
        BOOST_TEST_CONTEXT(format << ": " << text)
        BOOST_TEST(dfa->accepts(code_points(text).value()) == is_valid);
    }
    BOOST_TEST(find_format("colour") == nullptr);
}

/// Every text of up to five of these characters that is a JSON number, against its value.
BOOST_AUTO_TEST_CASE(numbers_are_within_their_limits) {
    std::mt19937 random(9);
    const std::regex number("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (texts[i].size() == 5) break;
        for (const char c : std::string_view("-.0125")) texts.push_back(texts[i] + c);
    }
    std::erase_if(texts, [&](const std::string& t) {
        return !std::regex_match(t, number) || (t[0] == '-' && std::stod(t) == 0);
    });
    std::size_t n_inside = 0;
    for (int round = 0; round < 60; ++round) {
        const auto bound = [&random] {
            return static_cast<double>(static_cast<int>(random() % 400) - 200) /
                   (random() % 2 == 0 ? 1 : 8);
        };
        const double low = bound();
        const double high = low + static_cast<double>(random() % 100);
        const double unit = std::vector<double>{0, 0.25, 2, 3}[random() % 4];
        const bool excludes = random() % 2 == 0;
        NumberLimits limits{.low = {{Decimal::of(low), excludes}},
                            .high = {{Decimal::of(high), excludes}},
                            .multiples = {}};
        if (unit > 0) limits.multiples.push_back(Decimal::of(unit));
        limits.is_integer = random() % 3 == 0;
        Budget budget;
        const Dfa dfa = number_automaton(limits, budget).value();
        for (const std::string& text : texts) {
            const double value = std::stod(text);
            const std::size_t point = std::min(text.find('.'), text.size());
            const std::size_t n_fraction = point == text.size() ? 0 : text.size() - point - 1;
            // Of a multiple no digits beyond its unit's own are written.
            const std::size_t most = limits.is_integer ? 0 : unit == 0 ? 5 : unit == 0.25 ? 2 : 0;
            const bool in_bounds =
                excludes ? value > low && value < high : value >= low && value <= high;
            const bool inside =
                in_bounds && (unit == 0 || std::fmod(value, unit) == 0) && n_fraction <= most;
            n_inside += inside ? 1 : 0;
            if (dfa.accepts(code_points(text).value()) != inside) {
                BOOST_ERROR(text << " in " << low << " " << high << " unit " << unit << excludes
                                 << limits.is_integer);
            }
        }
    }
    BOOST_TEST(n_inside > 1000U);
}

BOOST_AUTO_TEST_CASE(decimals_are_the_shortest_digits) {
    const auto text = [](const boost::json::value& v) {
        const Decimal d = Decimal::of(v);
        return std::string(d.is_negative ? "-" : "") + d.integer + "." + d.fraction;
    };
    BOOST_TEST(text(0) == ".");
    BOOST_TEST(text(-0.0) == ".");
    BOOST_TEST(text(0.1) == ".1");
    BOOST_TEST(text(-12.5) == "-12.5");
    BOOST_TEST(text(1e21) == "1000000000000000000000.");
    BOOST_TEST(text(1.5e-7) == ".00000015");
    BOOST_TEST(text(18446744073709551615U) == "18446744073709551615.");
    Budget budget;
    BOOST_TEST(
        number_automaton({.low = {{Decimal::of(1e15), false}}, .high = {}, .multiples = {}}, budget)
            .has_error());
    BOOST_TEST(
        number_automaton({.low = {}, .high = {{Decimal::of(1e15), false}}, .multiples = {}}, budget)
            .has_value());
    BOOST_TEST(number_automaton({.low = {}, .high = {}, .multiples = {Decimal::of(0.1)}}, budget)
                   .has_error());
}

BOOST_AUTO_TEST_SUITE_END()
