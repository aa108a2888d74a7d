#include <boost/json/parse.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>

#include "daemon/grammar/gbnf.hpp"
#include "daemon/grammar/json_grammar.hpp"
#include "daemon/grammar/json_schema.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/grammar/grammar_walk.hpp"

using namespace kvasir;
using namespace kvasir::grammar;
namespace data = boost::unit_test::data;

namespace {

const std::vector<std::string> kPieces{"{\"",      "\": ", "true",     "ab",    "abc", "b",
                                       "12",       "\xC3", "\xC3\xA9", "\xA9x", "é\"", "\xF0\x9F",
                                       "\xA6\x8A", "日本", "日本\xE8", "a\"",   "\\",  "\\u00",
                                       "  ",       "\n  ", "x\ny"};

std::vector<std::shared_ptr<const Grammar>> grammars() {
    std::vector<std::shared_ptr<const Grammar>> all{json_object_grammar().value()};
    for (const char* source : {R"(root ::= "abc" | [ab]{2,5} "\n" | "é"+)",
                               R"g(root ::= "(" root ")" | .{0,3})g", R"(root ::= [^"\\]* "\"")"})
        all.push_back(parse_gbnf(source).value());
    for (const char* schema :
         {R"({"type":"string","maxLength":5})", R"({"type":"string","minLength":3})",
          R"({"type":"array","items":{"enum":["ab","abc",12,true,"日本"]},"maxItems":3})",
          R"({"type":"object","properties":{"é":{"type":"string","pattern":"^.{2,4}b"}}})"})
        all.push_back(compile_schema(boost::json::parse(schema)).value());
    return all;
}

/// What each token leads to, by itself.
void check_mask(TokenMatcher& matcher, const Constraint& constraint, const std::string& text) {
    TextStates states(constraint.grammar);
    TextState state = states.start();
    for (const char byte : text) state = states.step(state, static_cast<std::uint8_t>(byte));
    const TokenTrie& tokens = *constraint.tokens;
    std::vector<float> logits(tokens.n_vocab() + 7, 1.0F);
    const auto masked = matcher.mask(logits, false);
    BOOST_REQUIRE_MESSAGE(masked.has_value(), text);
    std::size_t n_wrong = 0;
    for (TokenId id = 0; id < logits.size(); ++id) {
        bool allowed = false;
        if (id < tokens.n_vocab() && !tokens.bytes(id).empty()) {
            TextState next = state;
            for (const char byte : tokens.bytes(id))
                next = states.step(next, static_cast<std::uint8_t>(byte));
            allowed = next != TextStates::kDead;
        }
        for (const TokenId end : tokens.ends())
            allowed = allowed || (end == id && states.may_end(state));
        n_wrong += allowed == (logits[id] == 1.0F) ? 0 : 1;
    }
    BOOST_TEST(n_wrong == 0U, "after " << text);
}

void walk_and_check(const std::shared_ptr<const Constraint>& constraint, std::mt19937& random,
                    std::size_t n_texts, std::size_t n_tokens) {
    for (std::size_t round = 0; round < n_texts; ++round) {
        TokenMatcher matcher(constraint);
        std::string text;
        for (std::size_t i = 0; i < n_tokens && !matcher.must_end(); ++i) {
            check_mask(matcher, *constraint, text);
            std::vector<float> logits(constraint->tokens->n_vocab(), 0.0F);
            BOOST_REQUIRE(matcher.mask(logits, true).has_value());
            std::vector<TokenId> allowed;
            for (TokenId id = 0; id < logits.size(); ++id) {
                if (logits[id] == 0.0F) allowed.push_back(id);
            }
            BOOST_REQUIRE(!allowed.empty());
            const TokenId id = allowed[random() % allowed.size()];
            BOOST_REQUIRE(matcher.accept(id).has_value());
            text += constraint->tokens->bytes(id);
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(token_matcher)

BOOST_AUTO_TEST_CASE(a_mask_is_what_each_token_would_do) {
    std::mt19937 random(1);
    const auto vocabulary = make_vocabulary(kPieces);
    for (const auto& grammar : grammars())
        walk_and_check(std::make_shared<const Constraint>(Constraint{grammar, vocabulary}), random,
                       20, 15);
}

BOOST_DATA_TEST_CASE(with_real_vocabularies_too, data::make({"qwen2", "llama-bpe", "llama-spm"}),
                     name) {
    const std::filesystem::path path = std::filesystem::path(KVASIR_SHARED_DIR) /
                                       "golden/tokenizer" / (std::string(name) + ".gguf");
    if (!std::filesystem::exists(path)) {
        BOOST_TEST_MESSAGE("skipped: " << path << " is not there");
        return;
    }
    const auto file = GgufFile::open(path).value();
    const auto tokenizer = Tokenizer::create(file).value();
    std::vector<std::string> bytes;
    std::vector<TokenId> ends;
    for (TokenId id = 0; id < tokenizer->n_vocab(); ++id) {
        bytes.push_back(tokenizer->token_bytes(id));
        if (tokenizer->is_end_of_generation(id)) ends.push_back(id);
    }
    BOOST_TEST(!ends.empty());
    const auto vocabulary = TokenTrie::create(std::move(bytes), std::move(ends));
    std::mt19937 random(2);
    for (const auto& grammar : grammars())
        walk_and_check(std::make_shared<const Constraint>(Constraint{grammar, vocabulary}), random,
                       1, 4);
}

BOOST_AUTO_TEST_CASE(the_end_comes_where_the_grammar_may_end_and_nowhere_else) {
    const auto constraint = std::make_shared<const Constraint>(
        Constraint{parse_gbnf(R"(root ::= "a" "b"?)").value(), make_vocabulary({"ab"})});
    TokenMatcher matcher(constraint);
    const auto allowed = [&](bool ignore_ends) {
        std::vector<float> logits(constraint->tokens->n_vocab(), 0.0F);
        BOOST_REQUIRE(matcher.mask(logits, ignore_ends).has_value());
        std::vector<TokenId> ids;
        for (TokenId id = 0; id < logits.size(); ++id) {
            if (logits[id] == 0.0F) ids.push_back(id);
        }
        return ids;
    };
    BOOST_TEST((allowed(false) == std::vector<TokenId>{'a', 257}));
    BOOST_TEST(matcher.accept('b').has_error());
    BOOST_TEST(matcher.accept('a').has_value());
    BOOST_TEST((allowed(false) == std::vector<TokenId>{'b', 256}));
    BOOST_TEST((allowed(true) == std::vector<TokenId>{'b'}));
    BOOST_TEST(!matcher.must_end());
    BOOST_TEST(matcher.accept('b').has_value());
    BOOST_TEST(matcher.must_end());
    BOOST_TEST((allowed(true) == std::vector<TokenId>{256}));
    BOOST_TEST(matcher.accept(256).has_error());
}

BOOST_AUTO_TEST_CASE(a_vocabulary_that_cannot_go_on_is_an_error) {
    const auto tokens = TokenTrie::create({"a", "b", ""}, {2});
    TokenMatcher matcher(std::make_shared<const Constraint>(
        Constraint{parse_gbnf(R"(root ::= "ac")").value(), tokens}));
    std::vector<float> logits(3, 0.0F);
    BOOST_TEST(matcher.mask(logits, false).has_value());
    BOOST_TEST(matcher.accept(0).has_value());
    const auto masked = matcher.mask(logits, false);
    BOOST_REQUIRE(masked.has_error());
    BOOST_TEST((masked.error().code == ErrorCode::unsupported));
}

/// Nesting and counting make ever new states: what is kept stays bounded, and nothing is lost.
BOOST_AUTO_TEST_CASE(memory_is_bounded_over_a_long_text) {
    const auto constraint = std::make_shared<const Constraint>(Constraint{
        parse_gbnf(R"(root ::= ("[" root "]" | [a-z]){1,90000})").value(), make_vocabulary({})});
    TokenMatcher matcher(constraint);
    std::mt19937 random(4);
    std::vector<float> logits(constraint->tokens->n_vocab());
    std::size_t depth = 0;
    for (int i = 0; i < 60000; ++i) {
        const char next = i % 5 == 0 ? '[' : 'x';
        depth += next == '[' ? 1 : 0;
        BOOST_REQUIRE(matcher.accept(static_cast<TokenId>(next)).has_value());
        if (i % 100 == 0) BOOST_REQUIRE(matcher.mask(logits, false).has_value());
        BOOST_REQUIRE(matcher.size_bytes() < 3 * TokenMatcher::kMaxBytes);
    }
    for (; depth > 0; --depth)
        BOOST_REQUIRE(matcher.accept(']').has_error() == false || matcher.accept('x').has_value());
}

BOOST_AUTO_TEST_CASE(too_many_readings_are_an_error_not_a_hang) {
    const auto constraint = std::make_shared<const Constraint>(
        Constraint{parse_gbnf(R"(root ::= ((("a"{1,90000}){1,90000}){1,90000}){1,90000})").value(),
                   make_vocabulary({"aaaaaaaa"})});
    TokenMatcher matcher(constraint);
    bool is_refused = false;
    for (int i = 0; i < 200 && !is_refused; ++i) is_refused = matcher.accept('a').has_error();
    BOOST_TEST(is_refused);
}

BOOST_AUTO_TEST_SUITE_END()
