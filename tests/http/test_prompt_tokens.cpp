#include <boost/test/unit_test.hpp>

#include "daemon/http/prompt_tokens.hpp"
#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/support/corrupt.hpp"
#include "tests/support/vocabulary.hpp"

using namespace kvasir;
using test::Vocabulary;
using Ids = std::vector<TokenId>;

namespace {

constexpr TokenId kBos = 256;
constexpr TokenId kEnd = 257;

/// Bytes are tokens; a text begins with bos, and ends with an end where has_end says so.
ModelInfo model_of(bool has_end) {
    Vocabulary vocabulary;
    vocabulary.ids = {{"bos", vocabulary.add("<|begin|>", 3)},
                      {"eos", vocabulary.add("<|endoftext|>", 3)}};
    vocabulary.add_bos = true;
    vocabulary.add_eos = has_end;
    const test::ScratchFile file(vocabulary.gguf().header());
    ModelInfo model;
    model.context_length = 8;
    model.tokenizer = Tokenizer::create(GgufFile::open(file.path()).value()).value();
    model.n_vocab = model.tokenizer->n_vocab();
    return model;
}

Ids encode(const ModelInfo& model, const Prompt& input, bool truncates = false) {
    return encode_input(model, input, truncates, "input").value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(prompt_tokens)

BOOST_AUTO_TEST_CASE(a_text_to_embed_has_the_ends_that_its_model_wants) {
    const ModelInfo with = model_of(true);
    const ModelInfo without = model_of(false);
    const auto per_element = boost::test_tools::per_element();
    BOOST_TEST(encode(without, "abc") == (Ids{kBos, 'a', 'b', 'c'}), per_element);
    BOOST_TEST(encode(with, "abc") == (Ids{kBos, 'a', 'b', 'c', kEnd}), per_element);
    BOOST_TEST(encode(with, "<|begin|>a<|endoftext|>") == (Ids{kBos, 'a', kEnd}), per_element);
    BOOST_TEST(encode(with, Ids{'a', 'b'}) == (Ids{'a', 'b'}), per_element);
    // What is completed has no end.
    BOOST_TEST(encode_prompt(with, "abc").value() == (Ids{kBos, 'a', 'b', 'c'}), per_element);
}

BOOST_AUTO_TEST_CASE(what_is_beyond_the_context_goes_and_the_ends_stay) {
    const auto per_element = boost::test_tools::per_element();
    const Ids whole{kBos, 'a', 'b', 'c', 'd', 'e', 'f', kEnd};
    for (const char* text : {"abcdef", "abcdefg", "abcdefghijklmnopqrstuvwxyz"})
        BOOST_TEST(encode(model_of(true), text, true) == whole, per_element);
    BOOST_TEST(encode(model_of(false), "abcdefghi", true) ==
                   (Ids{kBos, 'a', 'b', 'c', 'd', 'e', 'f', 'g'}),
               per_element);
}

BOOST_AUTO_TEST_CASE(too_much_and_nothing_are_named_as_sent) {
    const ModelInfo model = model_of(true);
    BOOST_TEST(encode(model, "abcdef").size() == 8U);
    const ApiError longer = encode_input(model, "abcdefg", false, "input[2]").error();
    BOOST_TEST((longer.kind == ErrorKind::context_length_exceeded));
    BOOST_TEST(longer.param == "input[2]");
    BOOST_TEST(longer.message == "input[2]: 9 tokens, expected at most the context of 8 tokens");
    BOOST_TEST(encode_input(model, Ids(9, 'a'), false, "input").has_error());
    for (const Prompt& nothing : {Prompt(""), Prompt(Ids{})}) {
        const ApiError error = encode_input(model, nothing, true, "input").error();
        BOOST_TEST((error.kind == ErrorKind::invalid_request));
        BOOST_TEST(error.param == "input");
    }
}

BOOST_AUTO_TEST_SUITE_END()
