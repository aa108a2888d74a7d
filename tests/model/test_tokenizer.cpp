#include <chrono>
#include <thread>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

/// Merging as its definition says: again and again the best pair, wherever it stands first.
/// Quadratic.
Ids merge_naively(std::string_view piece, const Vocabulary& vocabulary) {
    std::vector<std::string> symbols;
    for (const char c : piece) symbols.push_back(byte_text(static_cast<unsigned char>(c)));
    for (;;) {
        std::size_t best_rank = vocabulary.merges.size();
        std::size_t best = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = std::find(vocabulary.merges.begin(), vocabulary.merges.end(),
                                         symbols[i] + " " + symbols[i + 1]);
            const auto rank = static_cast<std::size_t>(found - vocabulary.merges.begin());
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        if (best_rank == vocabulary.merges.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids ids;
    for (const auto& symbol : symbols) ids.push_back(vocabulary.id(symbol));
    return ids;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer)

BOOST_AUTO_TEST_CASE(decode_gives_back_any_bytes) {
    std::mt19937 random(3);
    for (int n = 0; n < 500; ++n) {
        const std::string text =
            n % 2 == 0 ? random_text(random, random() % 60) : random_bytes(random, random() % 200);
        const Ids ids = tales()->encode(text, Special::ignore);
        BOOST_TEST_REQUIRE(tales()->decode(ids) == text);
        const Ids parsed = tales()->encode(text, Special::parse);
        BOOST_TEST_REQUIRE(tales()->decode(parsed, true) == text);
        std::string joined;
        for (const TokenId id : ids) joined += tales()->token_bytes(id);
        BOOST_TEST_REQUIRE(joined == text);
    }
    BOOST_TEST(tales()->encode("", Special::parse).empty());
    BOOST_TEST(tales()->decode({}).empty());
}

BOOST_AUTO_TEST_CASE(merging_agrees_with_its_definition) {
    Vocabulary vocabulary;
    std::mt19937 random(4);
    // Merges over two letters, made at random, so that pairs overlap and compete.
    std::vector<std::string> words{"a", "b"};
    while (vocabulary.merges.size() < 60) {
        const std::string left = words[random() % words.size()];
        const std::string right = words[random() % words.size()];
        if (left.size() + right.size() > 12 || vocabulary.has(left + right)) continue;
        vocabulary.add_merge(left, right);
        words.push_back(left + right);
    }
    const auto tokenizer = create(vocabulary).value();
    for (int n = 0; n < 400; ++n) {
        std::string piece(random() % 80, 'a');
        for (char& c : piece) c = random() % 3 == 0 ? 'b' : 'a';
        BOOST_TEST(tokenizer->encode(piece, Special::ignore) == merge_naively(piece, vocabulary),
                   boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_megabyte_without_a_space_takes_seconds_not_hours) {
    for (const std::string& text : {std::string(1'000'000, 'a'), std::string(1'000'000, ' ') + "x",
                                    std::string(1'000'000, '\n'), std::string(1'000'000, '\xff'),
                                    std::string(1'000'000, '<')}) {
        const auto begin = std::chrono::steady_clock::now();
        const Ids ids = tales()->encode(text, Special::parse);
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
        BOOST_TEST(elapsed.count() < 60);
        BOOST_TEST((tales()->decode(ids) == text));
    }
}

BOOST_AUTO_TEST_CASE(special_tokens_are_parsed_only_when_asked) {
    const TokenId start = tales()->find_special("<|im_start|>").value();
    const TokenId end = tales()->find_special("<|im_end|>").value();
    BOOST_TEST(start == 4094U);
    BOOST_TEST(end == 4095U);
    BOOST_TEST(!tales()->find_special("<|im_start|").has_value());
    BOOST_TEST(!tales()->find_special("the").has_value());
    const std::string text = "<|im_start|>user\nHi<|im_end|><|im_end|>";
    const Ids parsed = tales()->encode(text, Special::parse);
    Ids expected{start};
    for (const TokenId id : tales()->encode("user\nHi", Special::ignore)) expected.push_back(id);
    expected.insert(expected.end(), {end, end});
    BOOST_TEST(parsed == expected, boost::test_tools::per_element());
    BOOST_TEST(tales()->decode(parsed) == "user\nHi");
    BOOST_TEST(tales()->decode(parsed, true) == text);
    BOOST_TEST(tales()->token_bytes(start).empty());
    BOOST_TEST(tales()->token_bytes(start, true) == "<|im_start|>");
    const Ids ignored = tales()->encode(text, Special::ignore);
    for (const TokenId id : ignored) BOOST_TEST(id < 4093U);
    BOOST_TEST(tales()->decode(ignored) == text);
}

BOOST_AUTO_TEST_CASE(the_longest_special_token_wins_where_several_start) {
    Vocabulary vocabulary;
    const TokenId shorter = vocabulary.add("<x>", 3);
    const TokenId longer = vocabulary.add("<x>y", 3);
    const TokenId written = vocabulary.add("<tool>", 4);
    const TokenId posing = vocabulary.add("<|turn|>", 4);
    const auto tokenizer = create(vocabulary).value();
    const TokenId y = vocabulary.id("y");
    const TokenId z = vocabulary.id("z");
    BOOST_TEST(tokenizer->encode("<x>z<x>yy", Special::parse) == (Ids{shorter, z, longer, y}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("<x>yz", Special::ignore).size() == 5U);
    // User-defined text is a token in any text, and is text; what poses as control is not taken
    // from a message.
    BOOST_TEST(tokenizer->encode("z<tool>", Special::ignore) == (Ids{z, written}),
               boost::test_tools::per_element());
    BOOST_TEST(tokenizer->token_bytes(written) == "<tool>");
    BOOST_TEST(tokenizer->encode("<|turn|>", Special::ignore).size() == 8U);
    BOOST_TEST(tokenizer->encode("<|turn|>", Special::parse) == Ids{posing},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(no_text_becomes_a_control_token_by_merging) {
    Vocabulary vocabulary;
    vocabulary.pre = "llama-bpe";  // where a whole piece may be a token
    vocabulary.merges = {"a b"};
    const TokenId control = vocabulary.add("ab", 3);
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(
        tokenizer->encode("ab", Special::ignore) == (Ids{vocabulary.id("a"), vocabulary.id("b")}),
        boost::test_tools::per_element());
    BOOST_TEST(tokenizer->encode("ab", Special::parse) == Ids{control},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(end_of_generation_is_known_by_key_and_by_name) {
    for (TokenId id = 0; id < 4096; ++id)
        BOOST_TEST_REQUIRE(tales()->is_end_of_generation(id) == (id == 4093 || id == 4095));
    BOOST_TEST(!tales()->is_end_of_generation(1'000'000));
    BOOST_TEST(tales()->bos().value() == 4093U);
    BOOST_TEST(!tales()->add_bos());

    Vocabulary vocabulary;
    const TokenId eos = vocabulary.add("[end]", 3);
    const TokenId eom = vocabulary.add("[pause]", 3);
    const TokenId named = vocabulary.add("<|eot_id|>", 3);
    const TokenId mislabelled = vocabulary.add("<|im_end|>", 1);
    const TokenId plain = vocabulary.add("</s>", 1);  // struck-out text, in a vocabulary of code
    const TokenId other = vocabulary.add("<|other|>", 3);
    vocabulary.ids = {{"eos", eos}, {"eom", eom}};
    const auto tokenizer = create(vocabulary).value();
    for (const TokenId id : {eos, eom, named, mislabelled})
        BOOST_TEST(tokenizer->is_end_of_generation(id));
    for (const TokenId id : {plain, other, TokenId{0}})
        BOOST_TEST(!tokenizer->is_end_of_generation(id));
    BOOST_TEST(!tokenizer->bos().has_value());
}

BOOST_AUTO_TEST_CASE(bos_is_wanted_where_the_file_or_the_family_says_so) {
    Vocabulary vocabulary;
    vocabulary.pre = "llama-bpe";
    BOOST_TEST(!create(vocabulary).value()->add_bos());  // no bos to add
    vocabulary.ids = {{"bos", vocabulary.add("<|begin_of_text|>", 3)}};
    BOOST_TEST(create(vocabulary).value()->add_bos());
    vocabulary.add_bos = false;
    BOOST_TEST(!create(vocabulary).value()->add_bos());
    vocabulary.pre = "gpt-2";
    vocabulary.add_bos = true;
    BOOST_TEST(create(vocabulary).value()->add_bos());
}

BOOST_AUTO_TEST_CASE(an_end_is_wanted_behind_a_text_where_the_file_says_so) {
    Vocabulary vocabulary;
    vocabulary.ids = {{"eos", vocabulary.add("<|endoftext|>", 3)}};
    BOOST_TEST(!create(vocabulary).value()->text_end().has_value());
    vocabulary.add_eos = false;
    BOOST_TEST(!create(vocabulary).value()->text_end().has_value());
    vocabulary.add_eos = true;
    BOOST_TEST(create(vocabulary).value()->text_end().value() == vocabulary.ids.at("eos"));
    vocabulary.ids.clear();
    BOOST_TEST(!create(vocabulary).value()->text_end().has_value());  // none to add
}

BOOST_AUTO_TEST_CASE(several_threads_encode_at_once) {
    std::mt19937 random(6);
    const std::string text = random_text(random, 3000);
    const Ids expected = tales()->encode(text, Special::parse);
    std::vector<int> same(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < same.size(); ++t)
        threads.emplace_back(
            [&, t] { same[t] = tales()->encode(text, Special::parse) == expected ? 1 : 0; });
    for (auto& thread : threads) thread.join();
    for (const int is_same : same) BOOST_TEST(is_same == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
