#include <boost/json/parse.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <random>
#include <set>

#include "daemon/grammar/gbnf.hpp"
#include "daemon/grammar/json_grammar.hpp"
#include "tests/grammar/grammar_walk.hpp"

using namespace kvasir;
using namespace kvasir::grammar;
namespace data = boost::unit_test::data;

namespace {

struct Example {
    std::string source;
    std::vector<std::string> in;
    std::vector<std::string> out;
};
std::ostream& operator<<(std::ostream& stream, const Example& example) {
    return stream << example.source;
}

const std::vector<Example> kExamples{
    {R"(root ::= "yes" | "no")", {"yes", "no"}, {"", "y", "yesno", "maybe"}},
    {R"(root ::= [a-c]+ [^a-c]? "\n")",
     {"abc\n", "ax\n", "a\xC3\xA9\n"},
     {"\n", "abcd", "axx\n", "a\xC3\n"}},
    {R"(root ::= ("ab" | "c"){2,3})", {"abc", "cc", "ababab", "ccc"}, {"ab", "cccc", "abcx"}},
    {R"(root ::= "a"{3} "b"{2,})", {"aaabb", "aaabbbb"}, {"aabb", "aaab"}},
    {"root ::= x # comment | \"no\"\n  # another\nx ::= \"a\" (  # inside\n   \"b\"\n   | "
     "\"c\" )*\n",
     {"a", "abcb"},
     {"", "no", "b"}},
    {R"(root ::= . ".")", {"x.", "\xF0\x9F\xA6\x8A."}, {".", "xy.", "\xF0\x9F\xA6."}},
    {R"(root ::= "\x41\u00e9\U0001F98A\\\"\t")", {"A\xC3\xA9\xF0\x9F\xA6\x8A\\\"\t"}, {"A"}},
    {R"g(root ::= "(" root ")" | "")g", {"", "()", "((()))"}, {"(", "())", ")("}},
    {R"g(root ::= expr
expr ::= term ("+" term)*
term ::= num | "(" expr ")"
num ::= [0-9]+)g",
     {"1", "1+(2+34)+5"},
     {"1+", "(1", "()"}},
    {R"(root ::= ("a"*)* "b")", {"b", "aaab"}, {"a", ""}},
    {R"(root ::= ("a"?){3} ("b"*)+ )", {"", "aaa", "abbb"}, {"aaaa", "ba"}},
    {R"(root ::= [\]\-^"]+)", {"]-^\""}, {"\\"}},
    {R"(root ::= a_b-1
a_b-1 ::= "x")",
     {"x"},
     {"y"}},
    {"root ::= \"a\" |\n  \"b\"\n", {"a", "b"}, {"ab"}},
    {R"(root ::= "a" dead | "b"
dead ::= "x" dead)",
     {"b"},
     {"a", "ax"}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gbnf)

BOOST_DATA_TEST_CASE(texts_in_and_out, data::make(kExamples), example) {
    const auto parsed = parse_gbnf(example.source);
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed.has_error() ? parsed.error().message : ""));
    for (const std::string& text : example.in) BOOST_TEST(matches(*parsed, text), text << " is in");
    for (const std::string& text : example.out)
        BOOST_TEST(!matches(*parsed, text), text << " is out");
}

struct Wrong {
    std::string source;
    std::string message;
};
std::ostream& operator<<(std::ostream& stream, const Wrong& wrong) {
    return stream << wrong.source.substr(0, 60);
}
const std::vector<Wrong> kWrong{
    {"", "no rule \"root\""},
    {"a ::= \"x\"", "no rule \"root\""},
    {"root ::= a", "line 1: rule \"a\" is not defined"},
    {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule \"root\" is defined twice"},
    {"root ::= root \"a\" | \"b\"", "\"root\" begins with itself"},
    {"root ::= \"\" a\na ::= \"b\"?  root | \"c\"", "begins with itself"},
    {"root ::= \"x\"? a\na ::= root \"y\" | \"z\"\n", "begins with itself"},
    {"root ::= \"a\" root", "no text can ever satisfy"},
    {"root ::= \"abc", "the text ends inside"},
    {"root ::= [abc", "the text ends inside"},
    {"root ::= (\"a\"", "expected )"},
    {"root ::= \"a\")", "expected the rule's end"},
    {"root ::= *", "expected a literal"},
    {"root := \"a\"", "expected ::="},
    {"root ::= \"\\q\"", "unknown escape"},
    {"root ::= \"\\xZZ\"", "hexadecimal"},
    {"root ::= \"\\uD800\"", "expected a character"},
    {"root ::= [z-a]", "ends before it begins"},
    {"root ::= \"a\"{3,2}", "more repetitions"},
    {"root ::= \"a\"{}", "expected a number"},
    {"root ::= \"a\"{100001}", "at most 100000"},
    {"root ::= \"a\"{99999999999999999999}", "at most 100000"},
    {"root ::= (\"a\"?){1000}", "repetitions of what may be empty"},
    {"root ::= \"\xFF\"", "invalid UTF-8"},
    {"root ::= " + std::string(100, '('), "nested deeper"},
    {"root ::= \"a\"" + std::string(100, '*'), "too many repetition signs"},
    {std::string(300 << 10, ' '), "bytes, expected at most"},
};

BOOST_DATA_TEST_CASE(what_is_wrong_is_said, data::make(kWrong), wrong) {
    const auto parsed = parse_gbnf(wrong.source);
    BOOST_REQUIRE(parsed.has_error());
    BOOST_TEST(parsed.error().message.find(wrong.message) != std::string::npos,
               parsed.error().message);
}

BOOST_AUTO_TEST_CASE(every_truncation_and_many_mutations_are_survived) {
    const std::string source = kExamples[8].source + "\n# x\nb ::= \"é\" [^a-z]{2,3}\n";
    std::mt19937 random(3);
    for (std::size_t n = 0; n < source.size(); ++n)
        (void)parse_gbnf(source.substr(0, n)).has_value();
    for (int round = 0; round < 3000; ++round) {
        std::string mutated = source;
        for (int k = 0; k < 3; ++k)
            mutated[random() % mutated.size()] = "\"[]()|*+?{}^-\\:=#\nax1 "[random() % 23];
        (void)parse_gbnf(mutated).has_value();
    }
    BOOST_TEST(parse_gbnf(source).has_value());
}

/// A part of a grammar and, by definition, where a match of it that begins at a place may end.
struct Part {
    std::string source;
    std::function<std::set<std::size_t>(const std::string&, std::size_t)> ends;
};

Part random_part(std::mt19937& random, int depth) {
    if (depth == 0 || random() % 4 == 0) {
        const char letter = "ab"[random() % 2];
        return {std::string("\"") + letter + "\"",
                [letter](const std::string& text, std::size_t at) {
                    return at < text.size() && text[at] == letter ? std::set{at + 1}
                                                                  : std::set<std::size_t>();
                }};
    }
    const Part a = random_part(random, depth - 1);
    if (random() % 3 == 0) {
        const std::size_t low = random() % 3;
        const std::size_t high = random() % 2 == 0 ? low + random() % 2 : 100;
        const std::string counts =
            "{" + std::to_string(low) + "," + (high == 100 ? "" : std::to_string(high)) + "}";
        return {"(" + a.source + ")" + counts, [=](const std::string& text, std::size_t at) {
                    std::set<std::size_t> ends;
                    std::set<std::size_t> places{at};
                    for (std::size_t n = 0; n <= std::min<std::size_t>(high, 10); ++n) {
                        if (n >= low) ends.insert(places.begin(), places.end());
                        std::set<std::size_t> next;
                        for (const std::size_t place : places) next.merge(a.ends(text, place));
                        places = next;
                    }
                    return ends;
                }};
    }
    const Part b = random_part(random, depth - 1);
    if (random() % 2 == 0) {
        return {"(" + a.source + " | " + b.source + ")",
                [=](const std::string& text, std::size_t at) {
                    std::set<std::size_t> ends = a.ends(text, at);
                    ends.merge(b.ends(text, at));
                    return ends;
                }};
    }
    return {a.source + " " + b.source, [=](const std::string& text, std::size_t at) {
                std::set<std::size_t> ends;
                for (const std::size_t middle : a.ends(text, at)) ends.merge(b.ends(text, middle));
                return ends;
            }};
}

/// Nullable, ambiguous and nested, over every text of up to six letters.
BOOST_AUTO_TEST_CASE(random_grammars_match_what_their_definition_says) {
    std::mt19937 random(11);
    std::size_t n_matches = 0;
    for (int round = 0; round < 300; ++round) {
        const Part part = random_part(random, 5);
        const auto grammar = parse_gbnf("root ::= " + part.source).value();
        for (std::size_t length = 0; length <= 6; ++length) {
            for (unsigned bits = 0; bits < (1U << length); ++bits) {
                std::string text;
                for (std::size_t i = 0; i < length; ++i) text += "ab"[(bits >> i) & 1];
                const bool expected = part.ends(text, 0).contains(length);
                n_matches += expected ? 1 : 0;
                if (matches(grammar, text) != expected) BOOST_ERROR(part.source << " and " << text);
            }
        }
    }
    BOOST_TEST(n_matches > 500U);
}

BOOST_AUTO_TEST_CASE(json_objects_are_json) {
    const auto grammar = json_object_grammar().value();
    for (const char* text :
         {"{}", R"({"a":1})", R"({"a": [1, 2.5e-3, {"b": null}], "": "\u00e9\n\ud83e\udd8a"})",
          "{\n  \"a\": true,\n  \"b\": false\n}"})
        BOOST_TEST(matches(grammar, text), text);
    for (const char* text :
         {"", "[]", "1", "{", R"({"a"})", R"({"a":01})", R"({"a":1,})", R"({a:1})",
          "{\"a\":\"\n\"}", R"({"a":"\ud83e"})", R"({"a":"\x"})", "{\"a\":\"\xFF\"}", R"({"a":1}})",
          R"({"a":1} )", R"({"a":+1})", R"({"a":.5})", R"({"a":1e999})"})
        BOOST_TEST(!matches(grammar, text), text);
    // What a mutation leaves inside the grammar is still JSON.
    std::mt19937 random(17);
    const std::string good =
        R"({"a": [1, 2.5e-3, {"b": null}], "c": "\u00e9\n", "d": {"e": true}})";
    std::size_t n_in = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text = good;
        for (std::size_t k = 1 + random() % 2; k > 0; --k)
            text[random() % text.size()] = "\"{}[],:\\ue1 -x"[random() % 14];
        if (!matches(grammar, text)) continue;
        ++n_in;
        boost::json::error_code ec;
        boost::json::parse(text, ec);
        BOOST_TEST(!ec, text);
    }
    BOOST_TEST(n_in > 500U);
}

BOOST_AUTO_TEST_SUITE_END()
