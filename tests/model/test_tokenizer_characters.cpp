// Vocabularies written in characters: SentencePiece's with scores, and those merged by rank.
#include <chrono>
#include <cmath>
#include <map>

#include "tests/model/scored_vocabulary.hpp"
#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

/// SentencePiece's merging as its definition says. Quadratic. Tokens are ASCII here.
Ids merge_naively(std::string_view text, const Scored& scored) {
    std::map<std::string, TokenId> ids;
    for (TokenId id = 259; id < scored.vocabulary.tokens.size(); ++id)
        ids.emplace(scored.vocabulary.tokens[id], id);
    std::vector<std::string> symbols;
    for (const char c : text) symbols.emplace_back(1, c);
    for (;;) {
        std::size_t best = symbols.size();
        float best_score = -INFINITY;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = ids.find(symbols[i] + symbols[i + 1]);
            if (found == ids.end() || scored.scores[found->second] <= best_score) continue;
            best = i;
            best_score = scored.scores[found->second];
        }
        if (best == symbols.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids out;
    for (const auto& symbol : symbols) {
        if (const auto found = ids.find(symbol); found != ids.end()) {
            out.push_back(found->second);
        } else {
            for (const char c : symbol) out.push_back(3 + static_cast<unsigned char>(c));
        }
    }
    return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_characters)

BOOST_AUTO_TEST_CASE(merging_agrees_with_its_definition) {
    std::mt19937 random(21);
    for (int round = 0; round < 20; ++round) {
        Scored scored;
        scored.flags["add_space_prefix"] = false;
        // `c` has no token of its own, longer tokens contain it; scores collide.
        for (const char* letter : {"a", "b"}) scored.add(letter, -1);
        for (int n = 0; n < 40; ++n) {
            std::string word(2 + random() % 5, 'a');
            for (char& c : word) c = static_cast<char>('a' + random() % 3);
            if (!scored.vocabulary.has(word)) scored.add(word, -static_cast<float>(random() % 9));
        }
        const auto tokenizer = scored.create().value();
        for (int n = 0; n < 40; ++n) {
            std::string text(random() % 60, 'a');
            for (char& c : text) c = static_cast<char>('a' + random() % 4);
            BOOST_TEST(tokenizer->encode(text, Special::ignore) == merge_naively(text, scored),
                       boost::test_tools::per_element());
            BOOST_TEST(tokenizer->decode(tokenizer->encode(text, Special::ignore)) == text);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_space_comes_first_and_goes_again) {
    Scored scored;
    const TokenId space = scored.add("▁", -5);
    const TokenId a = scored.add("a", -5);
    const TokenId space_a = scored.add("▁a", -1);
    const TokenId b = scored.add("b", -5);
    const auto tokenizer = scored.create().value();
    BOOST_TEST(tokenizer->add_bos());
    BOOST_TEST(tokenizer->encode("a", Special::ignore) == Ids{space_a},
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode(" ab", Special::ignore) == (Ids{space, space_a, b}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("", Special::parse).empty());
    // After a special token as well, as at the start.
    const Ids parsed = tokenizer->encode("<s>a</s>a a", Special::parse);
    BOOST_TEST(parsed == (Ids{1, space_a, 2, space_a, space_a}), boost::test_tools::per_element());
    BOOST_TEST(tokenizer->decode(parsed, true) == "<s>a</s>a a");
    BOOST_TEST(tokenizer->decode(parsed) == "aa a");
    BOOST_TEST(tokenizer->token_bytes(space_a) == " a");
    IncrementalDetokenizer detokenizer(tokenizer);
    BOOST_TEST(detokenizer.push(space_a) == " a");
    std::mt19937 random(22);
    for (int n = 0; n < 300; ++n) {
        const std::string text =
            n % 2 == 0 ? random_text(random, random() % 60) : random_bytes(random, random() % 200);
        BOOST_TEST_REQUIRE(tokenizer->decode(tokenizer->encode(text, Special::ignore)) == text);
        BOOST_TEST_REQUIRE(tokenizer->decode(tokenizer->encode(text, Special::parse), true) ==
                           text);
    }
    scored.flags["add_space_prefix"] = false;
    BOOST_TEST(scored.encode("a a") == (Ids{a, space_a}), boost::test_tools::per_element());
    BOOST_TEST(scored.create().value()->decode(Ids{space_a}) == " a");
}

BOOST_AUTO_TEST_CASE(extra_spaces_go_where_the_file_says_so) {
    Scored scored;
    scored.add("▁", -5);
    scored.add("a", -5);
    scored.flags["remove_extra_whitespaces"] = true;
    const auto tokenizer = scored.create().value();
    BOOST_TEST(tokenizer->decode(tokenizer->encode("  a   a ", Special::ignore)) == "a a");
    BOOST_TEST(tokenizer->encode("  a   a ", Special::ignore).size() == 4U);
    BOOST_TEST(tokenizer->encode("   ", Special::ignore).empty());
}

BOOST_AUTO_TEST_CASE(runs_that_the_user_defined_are_tokens_as_in_gemma) {
    Scored scored;
    scored.flags["add_space_prefix"] = false;
    const TokenId a = scored.add("a", -5);
    const TokenId line = scored.add("\n", 0, 4);
    const TokenId two_lines = scored.add("\n\n", 0, 4);
    const TokenId three_spaces = scored.add("▁▁▁", 0, 4);
    const TokenId space = scored.add("▁", -5);
    const TokenId turn = scored.add("<start_of_turn>", 0, 3);
    const auto tokenizer = scored.create().value();
    const Ids ids = tokenizer->encode("a\n\n\na    a", Special::ignore);
    BOOST_TEST(ids == (Ids{a, two_lines, line, a, three_spaces, space, a}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->decode(ids) == "a\n\n\na    a");
    BOOST_TEST(tokenizer->token_bytes(three_spaces) == "   ");
    BOOST_TEST(tokenizer->encode("<start_of_turn>a", Special::parse) == (Ids{turn, a}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("<start_of_turn>", Special::ignore).size() == 15U);
}

BOOST_AUTO_TEST_CASE(no_text_becomes_a_control_token_by_merging) {
    Scored scored;
    scored.flags["add_space_prefix"] = false;
    for (const char* text : {"<", "s", ">", "<s", "s>"}) scored.add(text, -1);
    for (const TokenId id : scored.encode("<s>")) BOOST_TEST(id > 258U);
    BOOST_TEST(scored.encode("<s>", Special::parse) == Ids{1}, boost::test_tools::per_element());
    BOOST_TEST(scored.encode("<0x41>").size() == 6U);  // nor a byte
}

BOOST_AUTO_TEST_CASE(white_space_after_the_tokens_of_phi_3_is_theirs) {
    Scored scored;
    scored.flags["add_space_prefix"] = false;
    const TokenId user = scored.add("<|user|>", 0, 3);
    const TokenId a = scored.add("a", -1);
    BOOST_TEST(scored.encode("<|user|>\n a", Special::parse).size() == 6U);
    scored.name = "Phi-3 mini";
    BOOST_TEST(scored.encode("<|user|>\n a", Special::parse) == (Ids{user, a}),
               boost::test_tools::per_element());
    BOOST_TEST(scored.encode("<s>\na", Special::parse).size() == 3U);
}

BOOST_AUTO_TEST_CASE(whole_characters_come_out_of_byte_tokens) {
    const auto tokenizer = Scored().create().value();
    const Ids ids = tokenizer->encode("💻€", Special::ignore);
    IncrementalDetokenizer detokenizer(tokenizer);
    std::vector<std::string> parts;
    for (const TokenId id : ids) parts.push_back(detokenizer.push(id));
    // The space has no token here: it is the three bytes of U+2581.
    const std::vector<std::string> expected{"", "", "▁", "", "", "", "💻", "", "", "€"};
    BOOST_TEST(parts == expected, boost::test_tools::per_element());
    BOOST_TEST(detokenizer.push(3 + 0xf0) == "");
    BOOST_TEST(detokenizer.push(3 + 'a') == "\uFFFDa");
    BOOST_TEST(detokenizer.push(3 + 0xe2) == "");
    BOOST_TEST(detokenizer.finish() == "\uFFFD");
}

BOOST_AUTO_TEST_CASE(what_has_no_token_is_the_unknown_token) {
    Scored scored;
    scored.flags["add_space_prefix"] = false;
    scored.vocabulary.tokens[3 + 0xac] = "<0xXX>";
    scored.vocabulary.types[3 + 0xac] = 1;
    BOOST_TEST(scored.encode("€\xe2") == (Ids{0, 3 + 0xe2}), boost::test_tools::per_element());
    scored.vocabulary.ids.erase("unknown");
    BOOST_TEST(scored.encode("€") == Ids{0}, boost::test_tools::per_element());  // by its type
    scored.vocabulary.types[0] = 3;
    check_error(scored.create(), ErrorCode::corrupt, "byte 172");
}

BOOST_AUTO_TEST_CASE(contradictory_vocabularies_are_refused) {
    Scored scored;
    scored.scores.pop_back();
    check_error(scored.create(), ErrorCode::corrupt, "258 scores, expected 259");
    scored.scores = std::vector<float>(259, 0);
    scored.has_scores = false;
    check_error(scored.create(), ErrorCode::corrupt, "tokenizer.ggml.scores");
    scored = Scored();
    scored.add("a", NAN);
    check_error(scored.create(), ErrorCode::corrupt, "token 259");
    scored = Scored();
    scored.add(std::string(600, 'a'), 0);
    check_error(scored.create(), ErrorCode::corrupt, "600 bytes");
    scored = Scored();
    scored.vocabulary.tokens[70] = "<0xGG>";
    check_error(scored.create(), ErrorCode::corrupt, "token 70");
    scored = Scored();
    scored.vocabulary.model = "t5";
    check_error(scored.create(), ErrorCode::unsupported, "`t5`");
    scored = Scored();
    scored.add("\xff\xfe", 0);
    scored.add("", 0);
    BOOST_TEST(scored.create().has_value());  // no text becomes these
}

BOOST_AUTO_TEST_CASE(characters_can_merge_by_rank_between_line_ends) {
    Scored scored;
    scored.has_scores = false;
    scored.vocabulary.model = "gemma4";
    const TokenId space = scored.add("▁", 0);
    const TokenId a = scored.add("a", 0);
    scored.add("b", 0);
    const TokenId line = scored.add("\n", 0);
    const TokenId two_lines = scored.add("\n\n", 0);
    scored.vocabulary.add_merge("a", "b");
    scored.vocabulary.add_merge("▁", "ab");
    const TokenId ab = scored.vocabulary.id("ab");
    const TokenId space_ab = scored.vocabulary.id("▁ab");
    BOOST_TEST(scored.encode("ab ab\n\na \n") == (Ids{ab, space_ab, two_lines, a, space, line}),
               boost::test_tools::per_element());
    BOOST_TEST(scored.create().value()->add_bos());
    BOOST_TEST(scored.encode("\n\n\n") == (Ids{line, line, line}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_megabyte_without_a_space_takes_seconds_not_hours) {
    Scored scored;
    scored.add("▁", -9);
    std::string run = "a";
    for (int n = 1; n < 7; ++n) scored.add(run += run, static_cast<float>(-n));
    const auto tokenizer = scored.create().value();
    for (const std::string& text : {std::string(1'000'000, 'a'), std::string(1'000'000, ' ') + "x",
                                    std::string(1'000'000, '\xff')}) {
        const auto begin = std::chrono::steady_clock::now();
        const Ids ids = tokenizer->encode(text, Special::parse);
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
        BOOST_TEST(elapsed.count() < 60);
        BOOST_TEST((tokenizer->decode(ids) == text));
    }
}

BOOST_AUTO_TEST_CASE(a_flipped_vocabulary_is_refused_or_works) {
    Scored scored;
    for (const char* text : {"▁", "a", "ä", "aä", "▁aä"}) scored.add(text, -1);
    GgufBuilder builder = scored.vocabulary.gguf();
    builder.array("tokenizer.ggml.scores", scored.scores);
    const auto bytes = builder.header();
    BOOST_TEST(count_working_flips(bytes, 7) > 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
