#include <algorithm>
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

BOOST_AUTO_TEST_CASE(every_family_cuts_its_own_way) {
    const struct {
        const char* name;
        const char* text;
        Pieces pieces;
    } cases[] = {
        {"default", "Hi, 12345x", {"Hi", ",", " ", "123", "45", "x"}},
        {"llama3", "x=1234", {"x", "=", "123", "4"}},
        {"command-r", "a 12!", {"a", " ", "1", "2", "!"}},
        {"deepseek-llm", "Ab 12日本\n ß", {"Ab", " ", "12", "日本", "\n", " ß"}},
        {"deepseek-llm", "a  ", {"a", "  "}},
        {"deepseek-coder", "x+y 12", {"x", "+", "y", " ", "1", "2"}},
        {"deepseek-coder", "a, ¡b", {"a", ",", " ¡", "b"}},
        {"deepseek-v3",
         "日本x 12345 foo(bar)",
         {"日本", "x", " ", "123", "45", " foo", "(bar", ")"}},
        {"spark2_5", "a!\n\nb", {"a", "!", "\n", "\n", "b"}},
        {"qwen35", "ab\u0301c 12", {"ab\u0301c", " ", "1", "2"}},
        {"qwen2", "ab\u0301c", {"ab", "\u0301c"}},
        {"gpt-4o", "HelloWorld don't", {"Hello", "World", " don't"}},
        {"gpt-4o", "HTTPServer 1234/\n", {"HTTPServer", " ", "123", "4", "/\n"}},
        {"tekken", "HelloWorld don't 12", {"Hello", "World", " don", "'t", " ", "1", "2"}},
        {"kimi-k2", "Hi日本go", {"Hi", "日本", "go"}},
        {"youtu", "가나a，b", {"가나", "a", "，", "b"}},
        {"superbpe", "of the 1234567", {"of the ", "1", "234", "567"}},
        {"tiny_aya", "a 1234567 12ab", {"a", " ", "1", "234", "567", " ", "12", "ab"}},
        {"afmoe", "x1234", {"x", "1", "234"}},
        {"bloom", "Hi there, you", {"Hi", " there", ",", " you"}},
        {"viking", "ab12, c", {"ab", "1", "2", ",", " c"}},
        {"bailingmoe", "a'S\n\n1", {"a", "'S", "\n\n", "1"}},
        {"exaone-moe", "ab c1", {"ab c", "1"}},
        {"seed-coder", "a!\nb", {"a", "!", "\n", "b"}},
        {"laguna", "a \nb", {"a", " ", "\n", "b"}},
        {"minicpm5", "x12345", {"x", "123", "45"}},
        {"ufakzeka", "Ankara'da", {"Ankara", "'da"}},
        {"jais-2", "a     b", {"a", "    ", " b"}},
        {"chameleon", "a  b\tIMGIMGAZ", {"a", "  ", "b", "\t", "IMGIMGAZ"}},
        {"gemma4", "a b\n\nc", {"a b", "\n\n", "c"}},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name << ": " << c.text) {
            BOOST_TEST(split(c.name, c.text) == c.pieces, boost::test_tools::per_element());
        }
    }
}

/// The names in llama.cpp's list; a file must not fail to load for its pre-tokenizer.
BOOST_AUTO_TEST_CASE(every_name_that_files_carry_is_known_once) {
    for (const char* name : {"default",
                             "llama3",
                             "llama-v3",
                             "llama-bpe",
                             "falcon3",
                             "falcon-h1",
                             "pixtral",
                             "midm-2.0",
                             "lfm2",
                             "jina-v5-nano",
                             "deepseek-llm",
                             "deepseek-coder",
                             "deepseek-v3",
                             "youtu",
                             "falcon",
                             "mpt",
                             "starcoder",
                             "gpt-2",
                             "phi-2",
                             "jina-es",
                             "jina-de",
                             "gigachat",
                             "jina-v2-es",
                             "jina-v2-de",
                             "a.x-4.0",
                             "mellum",
                             "modern-bert",
                             "jais-2",
                             "gemma4",
                             "sarvam-moe",
                             "jina-v1-en",
                             "jina-v2-code",
                             "roberta-bpe",
                             "refact",
                             "command-r",
                             "qwen2",
                             "qwen35",
                             "deepseek-r1-qwen",
                             "kormo",
                             "f2llmv2",
                             "stablelm2",
                             "olmo",
                             "dbrx",
                             "smaug-bpe",
                             "poro-chat",
                             "glm4",
                             "chatglm-bpe",
                             "viking",
                             "jais",
                             "tekken",
                             "smollm",
                             "codeshell",
                             "bloom",
                             "gpt3-finnish",
                             "exaone",
                             "exaone4",
                             "exaone-moe",
                             "chameleon",
                             "minerva-7b",
                             "megrez",
                             "gpt-4o",
                             "llama4",
                             "kanana2",
                             "talkie",
                             "tiny_aya",
                             "cohere2moe",
                             "superbpe",
                             "trillion",
                             "granite-docling",
                             "bailingmoe",
                             "bailingmoe2",
                             "llada-moe",
                             "seed-coder",
                             "hunyuan",
                             "hunyuan-dense",
                             "joyai-llm",
                             "kimi-k2",
                             "grok-2",
                             "afmoe",
                             "laguna",
                             "minimax-m2",
                             "solar-open",
                             "mellum2",
                             "minicpm5"}) {
        const auto is_it = [name](const auto& rule) { return rule.name == name; };
        const auto rules = all_pre_tokenizers();
        BOOST_TEST(std::count_if(rules.begin(), rules.end(), is_it) == 1, name);
    }
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
    while (text.size() < 100'000) text += unit;
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
