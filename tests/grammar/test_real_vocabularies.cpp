#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <iostream>

#include "daemon/model/tokenizer.hpp"
#include "quant/gguf.hpp"
#include "tests/grammar/mask_check.hpp"

using namespace kvasir;
using namespace kvasir::grammar;
namespace data = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(real_vocabularies)

BOOST_DATA_TEST_CASE(a_mask_is_what_each_token_would_do,
                     data::make({"qwen2", "llama-bpe", "llama-spm"}), name) {
    const std::filesystem::path path = std::filesystem::path(KVASIR_SHARED_DIR) /
                                       "golden/tokenizer" / (std::string(name) + ".gguf");
    if (!std::filesystem::exists(path)) {
        std::cout << "skipped: " << path << " is not there\n";
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

BOOST_AUTO_TEST_SUITE_END()
