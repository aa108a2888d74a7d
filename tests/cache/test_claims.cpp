#include <array>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "cache/claims.hpp"

using namespace kvasir;

namespace {

constexpr DomainId kAlice{1};

///     a1 -- a2 -- a3
///       \-- b2 -- b3
///     c1
struct Fixture {
    PrefixTree tree{8};
    Claims claims{tree, 8};
    std::uint32_t n_inserted = 0;
    NodeId a1 = add(kNoNode), a2 = add(a1), a3 = add(a2);
    NodeId b2 = add(a1), b3 = add(b2);
    NodeId c1 = add(kNoNode);

    NodeId add(NodeId parent) {
        std::array<TokenId, kTokensPerPage> tokens{};
        tokens.fill(++n_inserted);
        return tree.insert(kAlice, parent, tokens, PageId{n_inserted}).node;
    }
    BranchId open_at(NodeId tip) {
        const BranchId branch = claims.open();
        claims.move(branch, tip);
        claims.check_invariants();
        return branch;
    }
    /// What the branch has left, deepest first.
    std::vector<NodeId> move(BranchId branch, NodeId tip) {
        claims.move(branch, tip);
        claims.check_invariants();
        BOOST_TEST((claims.tip(branch) == tip));
        return claims.left();
    }
    void evict(NodeId node) {
        claims.forget(node);
        tree.remove(node);
        claims.check_invariants();
    }
    std::vector<std::uint32_t> n_branches() const {
        std::vector<std::uint32_t> n;
        for (const NodeId node : {a1, a2, a3, b2, b3, c1}) n.push_back(claims.n_branches(node));
        return n;
    }
};

using Counts = std::vector<std::uint32_t>;
using Nodes = std::vector<NodeId>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(claims, Fixture)

BOOST_AUTO_TEST_CASE(a_branch_covers_the_whole_path_to_its_tip) {
    BOOST_TEST(n_branches() == (Counts{0, 0, 0, 0, 0, 0}), boost::test_tools::per_element());
    const BranchId branch = open_at(a2);
    BOOST_TEST(n_branches() == (Counts{1, 1, 0, 0, 0, 0}), boost::test_tools::per_element());
    BOOST_TEST(claims.n_held() == 2U);
    BOOST_TEST(claims.is_claimed(a1));
    BOOST_TEST(!claims.is_claimed(a3));
    BOOST_TEST((move(branch, kNoNode) == Nodes{a2, a1}));
    BOOST_TEST(claims.n_held() == 0U);
    claims.close(branch);
    BOOST_TEST(claims.n_branches() == 0U);
}

BOOST_AUTO_TEST_CASE(where_two_paths_meet_both_claim_the_opening_once_each) {
    const BranchId a = open_at(a3);
    const BranchId b = open_at(b3);
    BOOST_TEST(n_branches() == (Counts{2, 1, 1, 1, 1, 0}), boost::test_tools::per_element());
    BOOST_TEST(claims.n_held() == 5U);
    // From one side of the fork to the other: the opening is neither left nor counted twice.
    BOOST_TEST((move(a, b3) == Nodes{a3, a2}));
    BOOST_TEST(n_branches() == (Counts{2, 0, 0, 2, 2, 0}), boost::test_tools::per_element());
    BOOST_TEST((move(b, a1) == Nodes{b3, b2}));
    BOOST_TEST(n_branches() == (Counts{2, 0, 0, 1, 1, 0}), boost::test_tools::per_element());
    BOOST_TEST(claims.n_held() == 3U);
}

BOOST_AUTO_TEST_CASE(a_move_leaves_exactly_what_is_not_on_the_new_path) {
    const BranchId branch = open_at(a1);
    BOOST_TEST(move(branch, a3).empty());
    BOOST_TEST(move(branch, a3).empty());
    BOOST_TEST((move(branch, a2) == Nodes{a3}));
    BOOST_TEST((move(branch, c1) == Nodes{a2, a1}));
    BOOST_TEST(n_branches() == (Counts{0, 0, 0, 0, 0, 1}), boost::test_tools::per_element());
    BOOST_TEST((move(branch, b3) == Nodes{c1}));
    BOOST_TEST(n_branches() == (Counts{1, 0, 0, 1, 1, 0}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tips_on_a_node_that_is_evicted_go_to_its_parent) {
    const BranchId first = open_at(a3);
    const BranchId second = open_at(a3);
    const BranchId third = open_at(a2);
    const BranchId other = open_at(b3);
    evict(a3);
    for (const BranchId branch : {first, second, third}) BOOST_TEST((claims.tip(branch) == a2));
    BOOST_TEST(claims.n_branches(a2) == 3U);
    BOOST_TEST(claims.n_branches(a1) == 4U);
    evict(a2);
    for (const BranchId branch : {first, second, third}) BOOST_TEST((claims.tip(branch) == a1));
    BOOST_TEST((claims.tip(other) == b3));
    // One of three at the same tip goes on; the others stay in the tip's list.
    BOOST_TEST(move(second, c1).empty() == false);
    BOOST_TEST(claims.n_branches(a1) == 3U);
    evict(b3);
    evict(b2);
    evict(a1);
    for (const BranchId branch : {first, third, other}) BOOST_TEST((claims.tip(branch) == kNoNode));
    BOOST_TEST((claims.tip(second) == c1));
    BOOST_TEST(claims.n_held() == 1U);
}

BOOST_AUTO_TEST_CASE(a_node_s_place_taken_anew_starts_without_claims) {
    open_at(a3);
    claims.claim_anonymously(a3);
    evict(a3);
    const NodeId anew = add(c1);
    BOOST_TEST((anew == a3));  // the tree gives the id again
    BOOST_TEST(!claims.is_claimed(anew));
    BOOST_TEST(!claims.is_claimed(c1));
    claims.check_invariants();
}

BOOST_AUTO_TEST_CASE(the_anonymous_claim_covers_paths) {
    claims.claim_anonymously(a2);
    claims.claim_anonymously(b3);
    claims.check_invariants();
    for (const NodeId node : {a1, a2, b2, b3}) BOOST_TEST(claims.is_anonymous(node));
    for (const NodeId node : {a3, c1}) BOOST_TEST(!claims.is_claimed(node));
    BOOST_TEST(claims.n_held() == 0U);
    claims.drop_anonymous(b3);
    claims.drop_anonymous(b2);
    claims.check_invariants();
    BOOST_TEST(claims.is_anonymous(a1));
    claims.claim_anonymously(kNoNode);
    claims.check_invariants();
}

BOOST_AUTO_TEST_CASE(named_and_anonymous_claims_do_not_touch_each_other) {
    const BranchId branch = open_at(a3);
    claims.claim_anonymously(a2);
    move(branch, kNoNode);
    BOOST_TEST(claims.is_claimed(a2));
    BOOST_TEST(!claims.is_claimed(a3));
    move(branch, a2);
    claims.drop_anonymous(a2);
    BOOST_TEST(claims.is_claimed(a2));
    BOOST_TEST(!claims.is_anonymous(a2));
    BOOST_TEST(claims.is_anonymous(a1));
    claims.check_invariants();
}

BOOST_AUTO_TEST_CASE(ids_of_closed_branches_are_given_again) {
    const BranchId first = open_at(a3);
    const BranchId second = open_at(a3);
    BOOST_TEST((first != second));
    move(first, kNoNode);
    claims.close(first);
    BOOST_TEST(claims.n_branches() == 1U);
    BOOST_TEST((open_at(c1) == first));
    BOOST_TEST((claims.tip(second) == a3));
    BOOST_TEST(claims.n_branches() == 2U);
}

BOOST_AUTO_TEST_SUITE_END()
