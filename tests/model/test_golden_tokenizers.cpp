// Real vocabularies and 300 texts; the vocabularies are third parties', so they are read where they
// lie.
#include <boost/json.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir {
namespace {

using namespace test;

const std::string kGoldens = KVASIR_SHARED_DIR "/golden/tokenizer/";

boost::json::array read_json(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return boost::json::parse(text.str()).as_array();
}

bool have_goldens() {
    if (std::filesystem::exists(kGoldens)) return true;
    std::cerr << "skipped: no " << kGoldens << "\n";
    return false;
}

/// Every vocabulary that lies there, by name.
std::vector<std::string> all_vocabularies() {
    std::vector<std::string> names;
    if (std::filesystem::exists(kGoldens)) {
        for (const auto& entry : std::filesystem::directory_iterator(kGoldens))
            if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
    }
    if (names.empty()) names.emplace_back("none");
    std::sort(names.begin(), names.end());
    return names;
}

/// SentencePiece writes a space as U+2581, so that a U+2581 comes back as a space.
std::string as_decoded(std::string text, bool is_sentence_piece) {
    for (std::size_t at = 0; is_sentence_piece;) {
        at = text.find("\u2581", at);
        if (at == std::string::npos) break;
        text.replace(at, 3, " ");
    }
    return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_tokenizers)

BOOST_DATA_TEST_CASE(every_vocabulary_gives_the_golden_ids,
                     boost::unit_test::data::make(all_vocabularies()), name) {
    if (!have_goldens()) return;
    const GgufFile file = GgufFile::open(kGoldens + name + ".gguf").value();
    const bool is_sentence_piece = file.get_string("tokenizer.ggml.model").value() == "llama";
    const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::create(file).value();
    const boost::json::array texts = read_json(kGoldens + "texts.json");
    const boost::json::array goldens = read_json(kGoldens + name + ".ids.json");
    BOOST_TEST_REQUIRE(texts.size() == goldens.size());
    BOOST_TEST_REQUIRE(texts.size() == 300U);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string text(texts[i].as_string());
        Ids expected;
        for (const auto& id : goldens[i].as_array()) expected.push_back(id.to_number<TokenId>());
        BOOST_TEST_CONTEXT("text " << i) {
            const Ids ids = tokenizer->encode(text, Special::ignore);
            BOOST_TEST(ids == expected, boost::test_tools::per_element());
            BOOST_TEST(tokenizer->decode(ids) == as_decoded(text, is_sentence_piece));
            IncrementalDetokenizer detokenizer(tokenizer);
            std::string streamed;
            for (const TokenId id : ids) streamed += detokenizer.push(id);
            streamed += detokenizer.finish();
            // A stream goes on after a prompt: the space before the text is its own there.
            const std::string prefix = is_sentence_piece && !text.empty() ? " " : "";
            BOOST_TEST(streamed == prefix + as_decoded(text, is_sentence_piece));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
