#include "cache/prefix_tree.hpp"

#include <algorithm>
#include <bit>
#include <xxhash.h>

#include "config/base/check.hpp"

namespace kvasir {
namespace {

NodeKey make_key(DomainId domain, NodeId parent, PageTokens tokens) {
    NodeKey key{.domain = domain, .parent = parent, .tokens = {}};
    std::ranges::copy(tokens, key.tokens.begin());
    return key;
}

}  // namespace

std::uint64_t xxh3_node_hash(const NodeKey& key, std::uint64_t seed) {
    return XXH3_64bits_withSeed(&key, sizeof key, seed);
}

PrefixTree::PrefixTree(std::uint32_t max_nodes, std::uint64_t seed, NodeHash hash)
    : max_nodes_(max_nodes),
      seed_(seed),
      hash_(hash),
      buckets_(std::bit_ceil(std::max<std::size_t>(max_nodes, 1)), kNoNode) {
    KVASIR_CHECK(max_nodes < to_index(kNoNode), "node ids are 32 bits, the last one is no node");
    nodes_.reserve(max_nodes);
}

std::size_t PrefixTree::bucket_of(const NodeKey& key) const {
    return static_cast<std::size_t>(hash_(key, seed_)) & (buckets_.size() - 1);
}

NodeId PrefixTree::find_in_bucket(std::size_t bucket, const NodeKey& key) const {
    NodeId node = buckets_[bucket];
    while (node != kNoNode && nodes_[to_index(node)].key != key) node = nodes_[to_index(node)].next;
    return node;
}

std::optional<NodeId> PrefixTree::find(DomainId reader, NodeId parent, PageTokens tokens) const {
    NodeKey key = make_key(reader, parent, tokens);
    NodeId node = find_in_bucket(bucket_of(key), key);
    const bool may_be_common = parent == kNoNode || domain(parent) == kCommonDomain;
    if (node == kNoNode && may_be_common && reader != kCommonDomain) {
        key.domain = kCommonDomain;
        node = find_in_bucket(bucket_of(key), key);
    }
    if (node == kNoNode) return std::nullopt;
    return node;
}

std::vector<NodeId> PrefixTree::match(DomainId domain, std::span<const TokenId> tokens) const {
    std::vector<NodeId> chain;
    NodeId parent = kNoNode;
    while (tokens.size() >= kTokensPerPage) {
        const auto node = find(domain, parent, tokens.first<kTokensPerPage>());
        if (!node) break;
        chain.push_back(*node);
        parent = *node;
        tokens = tokens.subspan(kTokensPerPage);
    }
    return chain;
}

/// Without a page, and cut from its parent. REQUIRES: no equal one there.
NodeId PrefixTree::add(const NodeKey& key, std::size_t bucket) {
    const NodeId parent = key.parent;
    KVASIR_CHECK(parent == kNoNode || at(parent).key.domain == key.domain ||
                     at(parent).key.domain == kCommonDomain,
                 "a node's parent is of its domain or common");
    KVASIR_CHECK(n_nodes_ < max_nodes_, "the tree has no more nodes than it was made for");
    NodeId node = unused_;
    if (node == kNoNode) {
        node = NodeId{id_limit()};
        nodes_.emplace_back();  // within the reserved capacity: does not allocate
    } else {
        unused_ = nodes_[to_index(node)].next;
    }
    std::uint32_t depth = 0;
    if (parent != kNoNode) {
        ++nodes_[to_index(parent)].n_children;
        depth = nodes_[to_index(parent)].depth + 1;
    }
    nodes_[to_index(node)] = {.key = key,
                              .depth = depth,
                              .n_children = 0,
                              .next = buckets_[bucket],
                              .in_use = true,
                              .is_cut = true,
                              .is_hollow = true};
    buckets_[bucket] = node;
    ++n_nodes_;
    ++n_hollow_;
    return node;
}

PrefixTree::Inserted PrefixTree::insert(DomainId domain, NodeId parent, PageTokens tokens,
                                        PageId page) {
    const NodeKey key = make_key(domain, parent, tokens);
    const std::size_t bucket = bucket_of(key);
    if (const NodeId found = find_in_bucket(bucket, key); found != kNoNode) return {found, false};
    const NodeId node = add(key, bucket);
    fill(node, page);
    return {node, true};
}

NodeId PrefixTree::insert_hollow(DomainId domain, NodeId parent, PageTokens tokens) {
    const NodeKey key = make_key(domain, parent, tokens);
    const std::size_t bucket = bucket_of(key);
    KVASIR_CHECK(find_in_bucket(bucket, key) == kNoNode, "no two nodes are equal");
    return add(key, bucket);
}

void PrefixTree::remove(NodeId node) {
    KVASIR_CHECK(is_leaf(node), "nodes leave the tree leaves first");
    Node& entry = nodes_[to_index(node)];
    NodeId* link = &buckets_[bucket_of(entry.key)];
    while (*link != node) link = &nodes_[to_index(*link)].next;
    *link = entry.next;
    if (entry.key.parent != kNoNode) --nodes_[to_index(entry.key.parent)].n_children;
    if (!entry.is_cut) count_at_parent(entry, false);
    n_hollow_ -= entry.is_hollow ? 1 : 0;
    entry = Node{.next = unused_};  // also forgets the tokens
    unused_ = node;
    --n_nodes_;
}

/// A child that is not cut and has a page comes or goes.
void PrefixTree::count_at_parent(const Node& node, bool is_more) {
    if (node.key.parent == kNoNode) return;
    Node& parent = nodes_[to_index(node.key.parent)];
    is_more ? ++parent.n_kept_children : --parent.n_kept_children;
    if (node.slot != kNoSlot) return;
    is_more ? ++parent.n_resident_children : --parent.n_resident_children;
}

void PrefixTree::cut(NodeId node) {
    Node& entry = nodes_[to_index(node)];
    if (entry.is_cut) return;
    count_at_parent(entry, false);
    entry.is_cut = true;
}

void PrefixTree::hollow_out(NodeId node) {
    KVASIR_CHECK(is_end(node) && !is_leaf(node) && !is_hollow(node),
                 "a node without a page says what came before others");
    cut(node);
    Node& entry = nodes_[to_index(node)];
    entry.is_hollow = true;
    ++n_hollow_;
    entry.slot = kNoSlot;
    entry.page = PageId{};
}

void PrefixTree::fill(NodeId node, PageId page) {
    KVASIR_CHECK(is_hollow(node), "a node has one page");
    Node& entry = nodes_[to_index(node)];
    entry.is_hollow = false;
    --n_hollow_;
    entry.page = page;
    if (!follows_page(parent(node))) return;
    entry.is_cut = false;
    count_at_parent(entry, true);
}

void PrefixTree::move_out(NodeId node, HostSlot slot) {
    KVASIR_CHECK(is_frontier(node), "nodes leave the device from the end of their paths");
    Node& entry = nodes_[to_index(node)];
    entry.slot = slot;
    entry.page = PageId{};
    if (entry.key.parent != kNoNode && !entry.is_cut)
        --nodes_[to_index(entry.key.parent)].n_resident_children;
}

void PrefixTree::move_in(NodeId node, PageId page) {
    Node& entry = nodes_[to_index(node)];
    KVASIR_CHECK(entry.slot != kNoSlot &&
                     (entry.is_cut || parent(node) == kNoNode || is_resident(parent(node))),
                 "nodes come back in the order of their paths");
    entry.slot = kNoSlot;
    entry.page = page;
    if (entry.key.parent != kNoNode && !entry.is_cut)
        ++nodes_[to_index(entry.key.parent)].n_resident_children;
}

const PrefixTree::Node& PrefixTree::at(NodeId node) const {
    KVASIR_CHECK(contains(node), "node id out of the tree");
    return nodes_[to_index(node)];
}

void PrefixTree::check_invariants() const {
    std::vector<std::uint32_t> n_children(nodes_.size());
    std::vector<std::uint32_t> n_kept(nodes_.size());
    std::vector<std::uint32_t> n_resident(nodes_.size());
    std::uint32_t n_in_use = 0;
    std::uint32_t n_hollow = 0;
    for (std::uint32_t i = 0; i < id_limit(); ++i) {
        const Node& node = nodes_[i];
        if (!node.in_use) continue;
        ++n_in_use;
        n_hollow += node.is_hollow ? 1 : 0;
        KVASIR_CHECK(find_in_bucket(bucket_of(node.key), node.key) == NodeId{i},
                     "a node is found by its key, and no other node has that key");
        KVASIR_CHECK(!node.is_hollow || (node.is_cut && node.slot == kNoSlot),
                     "a hollow node is cut, and has nothing in host memory");
        KVASIR_CHECK(!node.is_hollow || node.n_children > 0, "a hollow node is no leaf");
        if (node.key.parent == kNoNode) {
            KVASIR_CHECK(node.depth == 0, "a node without a parent is a first page");
            continue;
        }
        const Node& parent = at(node.key.parent);
        KVASIR_CHECK(parent.key.domain == node.key.domain || parent.key.domain == kCommonDomain,
                     "a parent is of its child's domain or common");
        KVASIR_CHECK(parent.depth + 1 == node.depth, "a child is one page deeper");
        ++n_children[to_index(node.key.parent)];
        if (node.is_cut) continue;
        KVASIR_CHECK(!parent.is_hollow, "what follows a hollow node is cut");
        ++n_kept[to_index(node.key.parent)];
        if (node.slot != kNoSlot) continue;
        KVASIR_CHECK(parent.slot == kNoSlot, "of any path the beginning is resident");
        ++n_resident[to_index(node.key.parent)];
    }
    KVASIR_CHECK(n_hollow == n_hollow_, "hollow nodes are counted");
    KVASIR_CHECK(n_in_use == n_nodes_, "the count of nodes is right");
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        KVASIR_CHECK(nodes_[i].n_children == n_children[i] &&
                         nodes_[i].n_kept_children == n_kept[i] &&
                         nodes_[i].n_resident_children == n_resident[i],
                     "the count of children is right");
    std::uint32_t n_unused = 0;
    for (NodeId node = unused_; node != kNoNode; node = nodes_[to_index(node)].next) {
        KVASIR_CHECK(!contains(node), "an unused node is not in the tree");
        ++n_unused;
    }
    KVASIR_CHECK(n_in_use + n_unused == nodes_.size(), "every node is in the tree or unused");
}

}  // namespace kvasir
