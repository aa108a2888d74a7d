// Masks against what each token would do by itself, along random texts of several grammars.
#pragma once

#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/grammar/gbnf.hpp"
#include "daemon/grammar/json_grammar.hpp"
#include "daemon/grammar/json_schema.hpp"
#include "tests/grammar/grammar_walk.hpp"

namespace kvasir::grammar {

inline const std::vector<std::string> kPieces{
    "{\"",      "\": ",     "true",  "ab",    "abc",      "b",        "12",
    "\xC3",     "\xC3\xA9", "\xA9x", "é\"",   "\xF0\x9F", "\xA6\x8A", "日本",
    "日本\xE8", "a\"",      "\\",    "\\u00", "  ",       "\n  ",     "x\ny"};

inline std::vector<std::shared_ptr<const Grammar>> grammars() {
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
inline void check_mask(TokenMatcher& matcher, const Constraint& constraint,
                       const std::string& text) {
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

inline void walk_and_check(const std::shared_ptr<const Constraint>& constraint,
                           std::mt19937& random, std::size_t n_texts, std::size_t n_tokens) {
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

}  // namespace kvasir::grammar
