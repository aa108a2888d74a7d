#include <boost/test/unit_test.hpp>

#include "daemon/grammar/gbnf.hpp"
#include "tests/grammar/mask_check.hpp"

using namespace kvasir;
using namespace kvasir::grammar;

BOOST_AUTO_TEST_SUITE(token_matcher)

BOOST_AUTO_TEST_CASE(a_mask_is_what_each_token_would_do) {
    std::mt19937 random(1);
    const auto vocabulary = make_vocabulary(kPieces);
    for (const auto& grammar : grammars())
        walk_and_check(std::make_shared<const Constraint>(Constraint{grammar, vocabulary}), random,
                       20, 15);
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
