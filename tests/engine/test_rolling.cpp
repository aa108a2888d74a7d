// Sequences that roll out of their window: pages are given up and recycled for others on the way,
// and every logit has the bits of a run that kept them all.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/support/model_run.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;
namespace data = boost::unit_test::data;

const std::string kModel = KVASIR_TEST_DATA "/tales-5m-q8_0.gguf";
const std::array<std::string, 3> kKvFormats = {"f16", "int8", "int4"};
constexpr std::uint32_t kTokens = 400;
constexpr std::uint32_t kStep = 64;
/// Sinks in one page, a window that reaches into three.
constexpr RunNeeds kKeepsAll{
    .max_sequences = 2, .step_tokens = kStep, .sinks = 4, .recent = 60, .rolls = false};
constexpr std::uint32_t kHeld = 7;  // max_held_pages of that; all tokens have 12

RunNeeds rolls_in(std::uint32_t n_pages) {
    RunNeeds needs = kKeepsAll;
    needs.rolls = true;
    needs.n_pages = n_pages;
    return needs;
}

Tokens text_of(ModelRun& run) {
    return random_tokens(kTokens, run.model().shape().n_vocab, 11);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rolling)

BOOST_DATA_TEST_CASE(bits_are_those_of_a_run_that_keeps_all, data::make(kKvFormats), kv) {
    ModelRun keeps_all(kModel, kv, kKeepsAll);
    const Tokens tokens = text_of(keeps_all);
    const Rows expected = keeps_all.cold(tokens);
    ModelRun rolls(kModel, kv, rolls_in(kHeld));
    for (const Plan& plan :
         {Plan{.chunk = kStep}, Plan{.chunk = 33}, Plan{.chunk = kStep, .decode_from = 200}}) {
        BOOST_TEST(difference(rolls.cold(tokens, plan), expected) == "");
    }
    rolls.cache().check_invariants();
    BOOST_TEST(rolls.cache().stats().n_free == kHeld);
    BOOST_TEST(rolls.model().device().n_validation_messages() == 0);
}

BOOST_AUTO_TEST_CASE(the_next_turn_goes_on_from_the_last_window) {
    ModelRun keeps_all(kModel, "int8", kKeepsAll);
    const Tokens tokens = text_of(keeps_all);
    const Rows expected = keeps_all.cold(tokens);
    ModelRun rolls(kModel, "int8", rolls_in(kHeld + 1));
    const std::span<const TokenId> all(tokens);
    Job first = rolls.begin(all.first(300), Plan{.chunk = kStep});
    rolls.finish({&first});
    first.state.release(0);
    Job second = rolls.begin(all, Plan{.chunk = kStep});
    BOOST_TEST(second.state.n_cached() == 300U / kTokensPerPage * kTokensPerPage);
    rolls.finish({&second});
    BOOST_TEST(difference(second.rows, expected) == "");
    second.state.release(0);
    rolls.cache().check_invariants();
}

BOOST_AUTO_TEST_CASE(company_recycles_what_is_given_up) {
    ModelRun keeps_all(kModel, "int4", kKeepsAll);
    const Tokens tokens = text_of(keeps_all);
    const Tokens other = random_tokens(kTokens, keeps_all.model().shape().n_vocab, 12);
    const Rows expected = keeps_all.cold(tokens);
    const Rows expected_other = keeps_all.cold(other);
    ModelRun rolls(kModel, "int4", rolls_in(2 * kHeld));  // 24 pages of tokens
    Job one = rolls.begin(tokens, Plan{.chunk = 31});
    Job two = rolls.begin(other, Plan{.chunk = 17, .decode_from = 350});
    rolls.finish({&one, &two});
    BOOST_TEST(difference(one.rows, expected) == "");
    BOOST_TEST(difference(two.rows, expected_other) == "");
    one.state.release(0);
    two.state.release(0);
    rolls.cache().check_invariants();
    BOOST_TEST(rolls.cache().stats().n_leased == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
