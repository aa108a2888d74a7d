// Sequences that roll out of their window: pages are given up and recycled for others on the way,
// and every logit has the bits of a run that kept them all.
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/engine/snapshot_pages.hpp"
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

namespace {

struct Saved {
    SnapshotHead head;
    std::vector<std::vector<std::byte>> pages;
};

Saved save(ModelRun& run, std::span<const PlannedBranch> branches) {
    SnapshotPlan plan = plan_snapshot(run.cache().tree(), branches);
    Saved saved{.head = std::move(plan.head), .pages = {}};
    saved.head.page_bytes = run.model().kv().shape().page_bytes();
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
        saved.pages.emplace_back(saved.head.pages[i].is_absent ? 0 : saved.head.page_bytes);
        if (saved.head.pages[i].is_absent) continue;
        BOOST_REQUIRE(!read_cached_page(run.model(), nullptr, run.cache().tree(), plan.nodes[i],
                                        saved.pages[i])
                           .has_error());
    }
    return saved;
}

Result<> take_all(SnapshotRestore& restore, const Saved& saved) {
    while (!restore.is_whole()) KVASIR_TRY_VOID(restore.take(saved.pages[restore.next()], 0));
    return {};
}

}  // namespace

/// Two conversations that part on page 9 of 12, of which seven pages are left.
BOOST_DATA_TEST_CASE(what_is_left_comes_back_in_another_process, data::make(kKvFormats), kv) {
    ModelRun keeps_all(kModel, kv, kKeepsAll);
    const Tokens one = text_of(keeps_all);
    Tokens other = one;
    for (std::size_t i = 300; i < other.size(); ++i) other[i] ^= 1U;
    const Rows expected = keeps_all.cold(one);
    const Rows expected_other = keeps_all.cold(other);

    ModelRun rolls(kModel, kv, rolls_in(kHeld + 1));
    std::vector<PlannedBranch> branches;
    for (const Tokens& tokens : {one, other}) {
        Job job = rolls.begin(std::span(tokens).first(350), Plan{.chunk = kStep});
        rolls.finish({&job});
        job.state.release(0);
        branches.push_back({rolls.cache().tree().match(DomainId{0}, tokens).back(), {}});
    }
    const Saved saved = save(rolls, branches);
    const auto n_absent = std::ranges::count(saved.head.pages, true, &SnapshotPage::is_absent);
    BOOST_TEST(n_absent > 0);
    BOOST_TEST(saved.head.pages.size() - static_cast<std::size_t>(n_absent) <= kHeld + 1U);

    ModelRun fresh(kModel, kv, rolls_in(2 * kHeld));
    SnapshotRestore restore(fresh.model(), fresh.cache(), DomainId{0}, saved.head);
    BOOST_REQUIRE(!take_all(restore, saved).has_error());
    fresh.cache().check_invariants();
    std::vector<BranchId> held;
    for (const NodeId tip : restore.tips()) {
        BOOST_REQUIRE(tip != kNoNode);
        BOOST_TEST(fresh.cache().tree().depth(tip) == 350U / kTokensPerPage - 1);
        held.push_back(fresh.cache().open_branch());
        fresh.cache().move_branch(held.back(), tip);
    }
    std::uint32_t n_found = 0;
    for (const auto& [tokens, rows] :
         {std::pair(one, expected), std::pair(other, expected_other)}) {
        Job job = fresh.begin(tokens, Plan{.chunk = kStep});
        BOOST_TEST(job.state.n_cached() <= 350U / kTokensPerPage * kTokensPerPage);
        n_found += job.state.n_cached();
        fresh.finish({&job});
        BOOST_TEST(difference(job.rows, rows) == "");
        job.state.release(0);
    }
    BOOST_TEST(n_found >= 350U / kTokensPerPage * kTokensPerPage);
    BOOST_TEST(fresh.model().device().n_validation_messages() == 0);
}

BOOST_AUTO_TEST_CASE(where_every_token_sees_all_pages_an_absent_one_is_refused) {
    ModelRun rolls(kModel, "int8", rolls_in(kHeld));
    const Tokens tokens = text_of(rolls);
    Job job = rolls.begin(tokens, Plan{.chunk = kStep});
    rolls.finish({&job});
    job.state.release(0);
    const PlannedBranch branch{rolls.cache().tree().match(DomainId{0}, tokens).back(), {}};
    const Saved saved = save(rolls, {&branch, 1});
    ModelRun keeps_all(kModel, "int8", kKeepsAll);
    {
        SnapshotRestore restore(keeps_all.model(), keeps_all.cache(), DomainId{0}, saved.head);
        const auto taken = take_all(restore, saved);
        BOOST_REQUIRE(taken.has_error());
        BOOST_TEST((taken.error().code == ErrorCode::unsupported));
    }
    keeps_all.cache().check_invariants();
    BOOST_TEST(keeps_all.cache().tree().n_nodes() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
