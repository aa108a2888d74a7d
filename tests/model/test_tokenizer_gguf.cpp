#include <string>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_gguf)

BOOST_AUTO_TEST_CASE(contradictory_vocabularies_are_refused) {
    BOOST_TEST(create(Vocabulary()).has_value());
    Vocabulary v;
    v.model = "unigram";
    check_refused(v, ErrorCode::unsupported, "unigram");
    v = Vocabulary();
    v.pre = "from-the-future";
    check_refused(v, ErrorCode::unsupported, "from-the-future");
    v = Vocabulary();
    v.types.pop_back();
    check_refused(v, ErrorCode::corrupt, "one a token");
    v = Vocabulary();
    v.types[7] = 9;
    check_refused(v, ErrorCode::corrupt, "token 7");
    v = Vocabulary();
    v.types[7] = -1;
    check_refused(v, ErrorCode::corrupt, "token 7");
    v = Vocabulary();
    v.tokens.clear();
    v.types.clear();
    check_refused(v, ErrorCode::corrupt, "empty");
    v = Vocabulary();
    v.add(std::string(5000, 'x'), 1);
    check_refused(v, ErrorCode::corrupt, "5000 bytes");
    for (const char* merge : {"", " ", "ab", "a ", " b"}) {
        v = Vocabulary();
        v.merges = {merge};
        check_refused(v, ErrorCode::corrupt, "merge 0");
    }
    for (const char* name : {"bos", "eos", "eot", "eom", "unknown"}) {
        v = Vocabulary();
        v.ids = {{name, 256}};
        check_refused(v, ErrorCode::corrupt, name);
    }
}

BOOST_AUTO_TEST_CASE(metadata_of_the_wrong_type_is_refused) {
    for (const char* key :
         {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
          "tokenizer.ggml.pre", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token"}) {
        Vocabulary vocabulary;
        vocabulary.left_out = key;
        GgufBuilder builder = vocabulary.gguf();
        builder.key(key, 1.5);
        const ScratchFile file(builder.header());
        const auto made = Tokenizer::create(GgufFile::open(file.path()).value());
        BOOST_TEST_REQUIRE(made.has_error(), key);
        BOOST_TEST((made.error().code == ErrorCode::corrupt));
        BOOST_TEST(made.error().message.find(key) != std::string::npos, made.error().message);
    }
    Vocabulary vocabulary;
    for (const char* key :
         {"tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.model"}) {
        vocabulary.left_out = key;
        check_refused(vocabulary, ErrorCode::corrupt, key);
    }
    for (const char* key : {"tokenizer.ggml.token_type", "tokenizer.ggml.pre"}) {
        vocabulary.left_out = key;
        exercise(create(vocabulary).value());
    }
}

BOOST_AUTO_TEST_CASE(
    merges_of_absent_tokens_are_skipped_and_a_repeated_merge_keeps_its_first_rank) {
    Vocabulary vocabulary;
    vocabulary.merges = {"b c", "q zz", "zz q", "x y"};  // neither zz nor xy is a token
    vocabulary.tokens.push_back("bc");
    vocabulary.types.push_back(1);
    vocabulary.add_merge("a", "b");
    vocabulary.merges.push_back("b c");
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(
        tokenizer->encode("abcxy", Special::ignore) ==
            (Ids{vocabulary.id("a"), vocabulary.id("bc"), vocabulary.id("x"), vocabulary.id("y")}),
        boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_byte_without_a_token_is_replaced_never_dropped) {
    Vocabulary vocabulary;
    vocabulary.tokens[0x03] = "[gone]";  // a control character, as in Falcon's vocabulary
    const auto tokenizer = create(vocabulary).value();
    BOOST_TEST(tokenizer->decode(tokenizer->encode("a\x03z", Special::ignore)) == "a\uFFFDz");
    vocabulary.ids = {{"unknown", 0x03}};
    const auto with_unknown = create(vocabulary).value();
    BOOST_TEST(with_unknown->encode("a\x03z", Special::ignore) == (Ids{'a', 0x03, 'z'}),
               boost::test_tools::per_element());
    vocabulary.ids.clear();
    vocabulary.tokens[0xEF] = "[gone too]";
    check_refused(vocabulary, ErrorCode::corrupt, "no token for byte 3");
}

BOOST_AUTO_TEST_CASE(a_flipped_vocabulary_is_refused_or_works) {
    Vocabulary vocabulary;
    vocabulary.add_merge("a", "b");
    vocabulary.ids = {{"eos", vocabulary.add("<|im_end|>", 3)}};
    const auto bytes = vocabulary.gguf().header();
    BOOST_TEST(count_working_flips(bytes, 5) >
               0U);  // a flip inside a token's text is another vocabulary, not an error
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
