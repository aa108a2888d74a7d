#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

#include "daemon/model/pre_tokenizer.hpp"

namespace kvasir {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const PreTokenizer& pre_tokenizer, std::string_view text) {
    std::vector<std::string_view> pieces;
    pre_tokenizer.split(text, pieces);
    return {pieces.begin(), pieces.end()};
}

Pieces split(std::string_view name, std::string_view text) {
    return split(PreTokenizer::create(name).value(), text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pre_tokenizer)

BOOST_AUTO_TEST_CASE(gpt2_cuts_words_numbers_punctuation_and_white_space) {
    const struct {
        const char* text;
        Pieces pieces;
    } cases[] = {
        {"", {}},
        {"Hello world", {"Hello", " world"}},
        {"it's we'll DON'T", {"it", "'s", " we", "'ll", " DON", "'", "T"}},
        {"a1b 22 333", {"a", "1", "b", " 22", " 333"}},
        {"x+1 != \"y\"", {"x", "+", "1", " !=", " \"", "y", "\""}},
        {"a  b", {"a", " ", " b"}},
        {"a\n\n b", {"a", "\n\n", " b"}},
        {"a\tb", {"a", "\t", "b"}},
        {"a   ", {"a", "   "}},
        {"наш дом", {"наш", " дом"}},
        {"e\u0301²½", {"e", "\u0301", "²½"}},
        {"a\u00a0b\u3000c\u0085d", {"a", "\u00a0", "b", "\u3000", "c", "\u0085", "d"}},
        {"a \u180e!", {"a", " \u180e!"}},  // no white space since Unicode 6.3
        {"a\u200bb", {"a", "\u200b", "b"}},
    };
    for (const auto& c : cases)
        BOOST_TEST(split("gpt-2", c.text) == c.pieces, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(later_rules_cut_digits_and_line_ends_their_own_way) {
    BOOST_TEST(
        split("llama-bpe", "12345 DON'T\n\nx") == (Pieces{"123", "45", " DON", "'T", "\n\n", "x"}),
        boost::test_tools::per_element());
    BOOST_TEST(split("qwen2", "123 a!\n") == (Pieces{"1", "2", "3", " a", "!\n"}),
               boost::test_tools::per_element());
    BOOST_TEST(split("falcon", "a-b 12345") == (Pieces{"a", "-", "b", " ", "123", "45"}),
               boost::test_tools::per_element());
    BOOST_TEST(split("starcoder", "a 12") == (Pieces{"a", " ", "1", "2"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_utf8_are_pieces_of_their_own) {
    BOOST_TEST(split("gpt-2", "ab\xff\xe2\x82 c") == (Pieces{"ab", "\xff", "\xe2", "\x82", " c"}),
               boost::test_tools::per_element());
}

/// Where writable code is forbidden the interpreter takes over, and tokens must not change with the
/// machine.
BOOST_DATA_TEST_CASE(pieces_join_to_the_text_and_do_not_depend_on_jit,
                     boost::unit_test::data::make([] {
                         std::vector<std::string> names;
                         for (const auto& rule : all_pre_tokenizers())
                             names.emplace_back(rule.name);
                         return names;
                     }()),
                     name) {
    const auto compiled = PreTokenizer::create(name).value();
    const auto interpreted = PreTokenizer::create(name, PreTokenizer::Jit::off).value();
    static const std::vector<std::string> parts{
        "a", "Zß",  " ",    "  ", "\n",     "\r\n",   "\t",     "1",    "²",        "'s", "'RE",
        "!", "...", "日本", "🌈",  "\u0301", "\u180e", "\u00a0", "\xff", "\xe2\x82", "`$"};
    std::mt19937 random(7);
    for (int n = 0; n < 300; ++n) {
        std::string text;
        for (std::size_t i = random() % 60; i > 0; --i) text += parts[random() % parts.size()];
        const Pieces pieces = split(compiled, text);
        std::string joined;
        for (const auto& piece : pieces) {
            BOOST_TEST_REQUIRE(!piece.empty());
            joined += piece;
        }
        BOOST_TEST_REQUIRE(joined == text);
        BOOST_TEST_REQUIRE(split(interpreted, text) == pieces, boost::test_tools::per_element());
    }
}

BOOST_DATA_TEST_CASE(long_runs_cost_no_more_than_their_length_without_jit,
                     boost::unit_test::data::make({"a", " ", "\n", "1", "!", " \n", "\xff"}),
                     unit) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    text += "x";
    for (const auto& rule : all_pre_tokenizers()) {
        const auto interpreted = PreTokenizer::create(rule.name, PreTokenizer::Jit::off).value();
        std::vector<std::string_view> pieces;
        interpreted.split(text, pieces);
        std::size_t n_bytes = 0;
        for (const auto piece : pieces) n_bytes += piece.size();
        BOOST_TEST(n_bytes == text.size());
    }
}

BOOST_AUTO_TEST_CASE(an_unknown_name_is_refused_with_the_known_ones) {
    const auto made = PreTokenizer::create("nobody");
    BOOST_TEST_REQUIRE(made.has_error());
    BOOST_TEST((made.error().code == ErrorCode::unsupported));
    BOOST_TEST(made.error().message.find("nobody") != std::string::npos);
    BOOST_TEST(made.error().message.find("llama-bpe") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
