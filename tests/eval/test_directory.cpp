// kvasir-eval with a Hugging Face directory: what it does with a file.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/eval/run_eval.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/temp_dir.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

const std::string kModel = data_file("golden/hf/gpt-neo");
const std::string kTokens = kModel + "/golden.json";  // an object with "tokens"

std::vector<float> run_logits(const std::vector<std::string>& more) {
    const TextFile out("");
    std::vector<std::string> arguments = {"logits", "--model",  kModel,        "--tokens", kTokens,
                                          "--out",  out.name(), "--positions", "0,32,95"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    BOOST_TEST_REQUIRE(run_eval(arguments).json().is_object());
    return read_floats(out.path());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(directory)

BOOST_AUTO_TEST_CASE(logits_and_greedy_ids_agree_with_the_golden) {
    const Golden golden = read_golden("hf/gpt-neo");
    const auto rows = run_logits({"--kv", "f32", "--validation"});
    BOOST_TEST_REQUIRE(rows.size() == 3 * golden.n_vocab);
    std::size_t at = 0;
    for (std::size_t i = 0; i < golden.positions.size(); ++i) {
        const auto position = golden.positions[i];
        if (position != 0 && position != 32 && position != 95) continue;
        const auto row = std::span(rows).subspan(at++ * golden.n_vocab, golden.n_vocab);
        BOOST_TEST(relative_l2(row, golden.row(i)) <= 1e-3, "position " << position);
    }
    BOOST_TEST(at == 3U);
    const auto ids =
        run_eval({"generate", "--model", kModel, "--tokens", kTokens, "-n", "24", "--kv", "f32"})
            .json();
    std::vector<TokenId> generated;
    for (const auto& id : ids.as_array()) generated.push_back(id.to_number<TokenId>());
    BOOST_TEST(generated == golden.greedy, boost::test_tools::per_element());
}

/// Pages on disk are bound to the directory's files.
BOOST_AUTO_TEST_CASE(reuse_is_invisible_also_from_disk) {
    const TempDir state;
    const auto expected = run_logits({"--kv", "int4"});
    const auto reused = run_logits({"--kv", "int4", "--reuse-from", kTokens, "--tier", "disk",
                                    "--state", state.path().string(), "--decode-from", "50"});
    BOOST_TEST((reused == expected));
}

/// The small goldens share their vocabulary.
BOOST_AUTO_TEST_CASE(texts_become_the_ids_of_the_file_with_the_same_vocabulary) {
    const TextFile texts(R"(["Once upon a time", "", "<|im_start|>x", "\u00e9\ud83d\ude00"])");
    for (const bool special : {false, true}) {
        const auto ids = [&](const std::string& model) {
            std::vector<std::string> arguments = {"tokenize", "--model", model, "--texts",
                                                  texts.name()};
            if (special) arguments.push_back("--special");
            return run_eval(arguments).json();
        };
        BOOST_TEST(ids(kModel) == ids(data_file("golden/arch/gpt2.gguf")));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
