#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

#include "tests/model/golden_tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

/// Every vocabulary that lies there, by name.
std::vector<std::string> all_vocabularies() {
    std::vector<std::string> names;
    if (std::filesystem::exists(kGoldenTokenizers)) {
        for (const auto& entry : std::filesystem::directory_iterator(kGoldenTokenizers))
            if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
    }
    if (names.empty()) names.emplace_back("none");
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_tokenizers)

BOOST_DATA_TEST_CASE(every_vocabulary_gives_the_golden_ids,
                     boost::unit_test::data::make(all_vocabularies()), name) {
    if (!have_golden_tokenizers()) return;
    const GgufFile file = GgufFile::open(kGoldenTokenizers + name + ".gguf").value();
    const bool is_sentence_piece = file.get_string("tokenizer.ggml.model").value() == "llama";
    const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::create(file).value();
    const std::vector<std::string> texts = golden_texts();
    const std::vector<Ids> goldens = golden_ids(name);
    BOOST_TEST_REQUIRE(texts.size() == 300U);
    BOOST_TEST_REQUIRE(goldens.size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        BOOST_TEST_CONTEXT("text " << i) {
            const Ids ids = tokenizer->encode(texts[i], Special::ignore);
            BOOST_TEST(ids == goldens[i], boost::test_tools::per_element());
            const std::string text = as_decoded(texts[i], is_sentence_piece);
            BOOST_TEST(tokenizer->decode(ids) == text);
            IncrementalDetokenizer detokenizer(tokenizer);
            std::string streamed;
            for (const TokenId id : ids) streamed += detokenizer.push(id);
            streamed += detokenizer.finish();
            // A stream goes on after a prompt: the space before the text is its own there.
            BOOST_TEST(streamed == (is_sentence_piece && !text.empty() ? " " : "") + text);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
