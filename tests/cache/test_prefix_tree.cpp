#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <map>
#include <numeric>
#include <tuple>
#include <vector>

#include "cache/prefix_tree.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

namespace {

constexpr DomainId kAlice{1};
constexpr DomainId kBob{2};

std::uint64_t colliding_hash(const NodeKey&, std::uint64_t) {
    return 7;
}
std::uint64_t poor_hash(const NodeKey& key, std::uint64_t) {
    return key.tokens[0] % 3;
}
const std::array<NodeHash, 3> kHashes = {xxh3_node_hash, poor_hash, colliding_hash};

std::array<TokenId, kTokensPerPage> page_of(TokenId token) {
    std::array<TokenId, kTokensPerPage> tokens{};
    tokens.fill(token);
    return tokens;
}

std::vector<TokenId> text(std::initializer_list<TokenId> pages, std::size_t n_more = 0) {
    std::vector<TokenId> tokens;
    for (const TokenId page : pages) tokens.insert(tokens.end(), kTokensPerPage, page);
    tokens.insert(tokens.end(), n_more, 99);
    return tokens;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(prefix_tree)

BOOST_AUTO_TEST_CASE(match_gives_the_longest_chain) {
    PrefixTree tree(8);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{4}).node;
    const NodeId b = tree.insert(kAlice, a, page_of(2), PageId{2}).node;
    const NodeId c = tree.insert(kAlice, a, page_of(3), PageId{0}).node;
    tree.check_invariants();
    BOOST_TEST((tree.match(kAlice, text({1, 2, 3})) == std::vector{a, b}));
    BOOST_TEST((tree.match(kAlice, text({1, 3})) == std::vector{a, c}));
    BOOST_TEST((tree.match(kAlice, text({1, 4})) == std::vector{a}));
    BOOST_TEST(tree.match(kAlice, text({2, 1})).empty());
    BOOST_TEST(tree.match(kAlice, {}).empty());
    BOOST_TEST((tree.page(b) == PageId{2}));
    BOOST_TEST(tree.depth(c) == 1U);
}

BOOST_AUTO_TEST_CASE(what_follows_no_page_is_cut) {
    PrefixTree tree(8);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{0}).node;
    const NodeId b = tree.insert_hollow(kAlice, a, page_of(2));
    const NodeId c = tree.insert_hollow(kAlice, b, page_of(3));
    const NodeId d = tree.insert(kAlice, c, page_of(4), PageId{1}).node;
    tree.check_invariants();
    BOOST_TEST((tree.match(kAlice, text({1, 2, 3, 4, 5})) == std::vector{a, b, c, d}));
    BOOST_TEST(tree.n_hollow() == 2U);
    BOOST_TEST((tree.is_cut(d) && tree.is_frontier(a) && tree.is_frontier(d)));
    BOOST_TEST(tree.n_unused() == 4U);
    tree.fill(c, PageId{2});  // after a hollow one
    BOOST_TEST((tree.is_cut(c) && !tree.is_hollow(c)));
    tree.fill(b, PageId{3});
    tree.check_invariants();
    BOOST_TEST((!tree.is_cut(b) && tree.is_cut(c) && !tree.is_frontier(a)));
    for (const NodeId node : {d, c, b, a}) tree.remove(node);
    tree.check_invariants();
}

BOOST_AUTO_TEST_CASE(match_stops_at_page_boundary) {
    PrefixTree tree(8);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{0}).node;
    tree.insert(kAlice, a, page_of(99), PageId{1});
    BOOST_TEST((tree.match(kAlice, text({1}, 31)) == std::vector{a}));
    BOOST_TEST(tree.match(kAlice, text({1}, 32)).size() == 2U);
    BOOST_TEST(tree.match(kAlice, text({}, 31)).empty());
}

BOOST_AUTO_TEST_CASE(one_token_of_difference_is_a_miss) {
    PrefixTree tree(8);
    tree.insert(kAlice, kNoNode, page_of(1), PageId{0});
    for (std::size_t i = 0; i < kTokensPerPage; ++i) {
        auto tokens = page_of(1);
        tokens[i] ^= 0x80000000U;
        BOOST_TEST(!tree.find(kAlice, kNoNode, tokens).has_value());
    }
}

BOOST_AUTO_TEST_CASE(an_equal_page_is_not_entered_twice) {
    PrefixTree tree(8);
    const auto first = tree.insert(kAlice, kNoNode, page_of(1), PageId{3});
    const auto second = tree.insert(kAlice, kNoNode, page_of(1), PageId{5});
    BOOST_TEST(first.is_new);
    BOOST_TEST(!second.is_new);
    BOOST_TEST((first.node == second.node));
    BOOST_TEST((tree.page(first.node) == PageId{3}));
    BOOST_TEST(tree.n_nodes() == 1U);
}

BOOST_AUTO_TEST_CASE(domains_do_not_meet) {
    PrefixTree tree(8);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{0}).node;
    tree.insert(kAlice, a, page_of(2), PageId{1});
    BOOST_TEST(tree.match(kBob, text({1, 2})).empty());
    BOOST_TEST(tree.insert(kBob, kNoNode, page_of(1), PageId{2}).is_new);
    BOOST_TEST(tree.match(kBob, text({1, 2})).size() == 1U);
    tree.check_invariants();
}

BOOST_AUTO_TEST_CASE(the_same_tokens_under_another_parent_are_another_page) {
    PrefixTree tree(8);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{0}).node;
    const NodeId b = tree.insert(kAlice, a, page_of(1), PageId{1}).node;
    BOOST_TEST((a != b));
    BOOST_TEST((tree.match(kAlice, text({1, 1, 1})) == std::vector{a, b}));
}

BOOST_AUTO_TEST_CASE(a_removed_node_is_no_longer_found_and_its_id_is_reused) {
    PrefixTree tree(2);
    const NodeId a = tree.insert(kAlice, kNoNode, page_of(1), PageId{0}).node;
    const NodeId b = tree.insert(kAlice, a, page_of(2), PageId{1}).node;
    BOOST_TEST(!tree.is_leaf(a));
    tree.remove(b);
    BOOST_TEST(tree.is_leaf(a));
    BOOST_TEST(!tree.contains(b));
    BOOST_TEST((tree.match(kAlice, text({1, 2})) == std::vector{a}));
    BOOST_TEST((tree.insert(kAlice, a, page_of(3), PageId{1}).node == b));
    tree.check_invariants();
}

BOOST_AUTO_TEST_CASE(the_hash_depends_on_every_part_of_the_key_and_on_the_seed) {
    NodeKey key;
    std::iota(key.tokens.begin(), key.tokens.end(), 5U);
    const std::uint64_t hash = xxh3_node_hash(key, 1);
    BOOST_TEST(hash == xxh3_node_hash(key, 1));
    BOOST_TEST(hash != xxh3_node_hash(key, 2));
    NodeKey other = key;
    other.domain = kBob;
    BOOST_TEST(hash != xxh3_node_hash(other, 1));
    other = key;
    other.parent = NodeId{0};
    BOOST_TEST(hash != xxh3_node_hash(other, 1));
    other = key;
    std::swap(other.tokens[30], other.tokens[31]);
    BOOST_TEST(hash != xxh3_node_hash(other, 1));
}

BOOST_DATA_TEST_CASE(random_trees_equal_a_map_under_any_hash,
                     boost::unit_test::data::xrange(3) * boost::unit_test::data::xrange(4),
                     hash_index, seed) {
    using Key = std::tuple<std::uint32_t, std::uint32_t, TokenId>;  // domain, parent, tokens
    Random random(static_cast<std::uint64_t>(seed));
    constexpr std::uint32_t kMaxNodes = 60;
    PrefixTree tree(kMaxNodes, random.bits(), kHashes.at(static_cast<std::size_t>(hash_index)));
    std::map<Key, NodeId> model;
    std::map<NodeId, Key> keys;
    std::map<NodeId, int> n_children;
    for (int step = 0; step < 20000; ++step) {
        const bool from_start = keys.empty() || random.one_in(4);
        const auto picked =
            from_start ? keys.end()
                       : std::next(keys.begin(), static_cast<long>(random.below(keys.size())));
        const NodeId parent = from_start ? kNoNode : picked->first;
        const DomainId domain{from_start ? random.below(3) : std::get<0>(picked->second)};
        const TokenId token = random.below(3);
        const Key key{static_cast<std::uint32_t>(domain), to_index(parent), token};
        if (random.one_in(2)) {
            const auto found = tree.find(domain, parent, page_of(token));
            BOOST_REQUIRE(found.has_value() == model.contains(key));
            if (found) BOOST_REQUIRE((*found == model.at(key)));
        } else if (!from_start && n_children[parent] == 0 && random.one_in(2)) {
            const Key removed = picked->second;
            tree.remove(parent);
            --n_children[NodeId{std::get<1>(removed)}];
            model.erase(removed);
            keys.erase(picked);
        } else if (model.contains(key) || tree.n_nodes() < kMaxNodes) {
            const auto inserted =
                tree.insert(domain, parent, page_of(token), PageId{static_cast<unsigned>(step)});
            BOOST_REQUIRE(inserted.is_new == !model.contains(key));
            if (inserted.is_new) {
                BOOST_REQUIRE(!keys.contains(inserted.node));
                model[key] = inserted.node;
                keys[inserted.node] = key;
                n_children[inserted.node] = 0;
                ++n_children[parent];
            }
        }
        BOOST_REQUIRE(tree.n_nodes() == model.size());
        if (step % 100 == 0) tree.check_invariants();
    }
}

BOOST_AUTO_TEST_SUITE_END()
