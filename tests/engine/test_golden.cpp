// Logits and greedy ids of small models against another implementation's, however the prompt is cut
// into steps.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/support/golden.hpp"
#include "tests/support/model_run.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

const std::vector<std::string> kModels = {
    "arch/llama",   "arch/llama3-rope", "arch/llama-linear", "arch/llama-yarn", "arch/mistral-swa",
    "arch/mixtral", "arch/qwen2",       "arch/qwen3",        "arch/qwen3moe",   "arch/phi3",
    "arch/gpt2",    "arch/gptneox",     "arch/starcoder2",   "arch/gemma",      "arch/gemma2",
    "arch/gemma3",  "quant/F16",        "quant/BF16",        "quant/Q8_0",      "quant/Q4_0",
    "quant/Q4_1",   "quant/Q5_0",       "quant/Q5_1",        "quant/Q2_K",      "quant/Q3_K",
    "quant/Q4_K",   "quant/Q5_K",       "quant/Q6_K",        "quant/IQ4_NL",    "quant/IQ4_XS",
    "quant/MXFP4",  "hf/gpt-neo"};
constexpr std::array kPlans = {Plan{.chunk = 1}, Plan{.chunk = 7}, Plan{.chunk = 32},
                               Plan{.chunk = 64}, Plan{.chunk = 64, .decode_from = 40}};

void check_logits(ModelRun& run, const Golden& golden, double bound) {
    for (const Plan& plan : kPlans) {
        const Rows rows = run.cold(golden.tokens, plan);
        for (std::size_t i = 0; i < golden.positions.size(); ++i) {
            const double error = relative_l2(rows.at(golden.positions[i]), golden.row(i));
            BOOST_TEST(error <= bound, golden.model.stem()
                                           << ", chunk " << plan.chunk << ", position "
                                           << golden.positions[i] << ": " << error);
        }
    }
}

Tokens continue_greedily(ModelRun& run, const Golden& golden) {
    const auto n = static_cast<std::uint32_t>(golden.tokens.size() + golden.greedy.size());
    Job job = run.begin(golden.tokens, Plan{}, n);
    Tokens ids;
    while (ids.size() < golden.greedy.size()) {
        run.finish({&job});
        ids.push_back(argmax(job.rows.rbegin()->second));
        job.state.push_token(ids.back());
    }
    return ids;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden)

BOOST_DATA_TEST_CASE(logits_and_greedy_ids_agree_with_f32_pages,
                     boost::unit_test::data::make(kModels), name) {
    const Golden golden = read_golden(name);
    ModelRun run(golden.model, "f32");
    check_logits(run, golden, 1e-3);
    const Tokens ids = continue_greedily(run, golden);
    BOOST_TEST(ids == golden.greedy, boost::test_tools::per_element());
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

/// The reference computed every position anew over the tokens that the window leaves.
BOOST_AUTO_TEST_CASE(sinks_and_a_window_agree_with_the_model_that_sees_only_them) {
    Golden golden = read_golden("arch/streaming");
    golden.model = read_golden("arch/llama").model;
    ModelRun run(golden.model, "f32", {.sinks = 4, .recent = 41});
    check_logits(run, golden, 1e-3);
    const Tokens ids = continue_greedily(run, golden);
    BOOST_TEST(ids == golden.greedy, boost::test_tools::per_element());
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

BOOST_DATA_TEST_CASE(logits_agree_with_f16_pages, boost::unit_test::data::make(kModels), name) {
    const Golden golden = read_golden(name);
    ModelRun run(golden.model, "f16");
    check_logits(run, golden, 3e-3);
    BOOST_TEST(run.model().device().n_validation_messages() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
