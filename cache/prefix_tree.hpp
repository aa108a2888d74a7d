// PrefixTree: token prefix -> sealed pages, per isolation domain. A hash finds, tokens decide.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/page_pool.hpp"
#include "cache/tier.hpp"
#include "config/base/types.hpp"

namespace kvasir {

/// Who may share with whom. Given by the daemon from the peer's credentials, never by the caller.
enum class DomainId : std::uint32_t {};
/// An administrator's prefixes: every domain reads them, none but an administrator enters them.
constexpr DomainId kCommonDomain{0xffffffffU};

/// A page's place in the tree. Dense, reused after removal.
enum class NodeId : std::uint32_t {};
constexpr NodeId kNoNode{0xffffffffU};  // as a parent: the start of a sequence
constexpr std::uint32_t to_index(NodeId id) {
    return static_cast<std::uint32_t>(id);
}

using PageTokens = std::span<const TokenId, kTokensPerPage>;

/// What makes a node itself. Without padding: it is hashed and compared as bytes.
struct NodeKey {
    DomainId domain{};
    NodeId parent = kNoNode;
    std::array<TokenId, kTokensPerPage> tokens{};
    bool operator==(const NodeKey&) const = default;
};
static_assert(sizeof(NodeKey) == 4 + 4 + 4 * kTokensPerPage);

/// Only an index: any function gives right results, a poor one slow ones.
using NodeHash = std::uint64_t (*)(const NodeKey& key, std::uint64_t seed);
std::uint64_t xxh3_node_hash(const NodeKey& key, std::uint64_t seed);

///     domain 0 -+- [The quick brown ...] -+- [... fox jumps]    page 7   a leaf: nothing below it
///               |        page 3           +- [... dog sleeps]   page 9   a leaf
///               +- [Once upon a time ...]                       page 4   a leaf
///     domain 1 --- [The quick brown ...]                        page 5   not page 3: domains do
///     not meet
///     common   --- [You are a helpful ..]                       page 6
///     domain 1            +- [... hello]                        page 8   its own, after a common
///     one
///
/// A node stands for one page of 32 tokens. It is resident while the page is on the device; else it
/// has a slot in host memory, and all nodes below it have one too: of any path the beginning is
/// resident. It is identified by its domain, its parent node and its
/// tokens, all compared; no two nodes are equal in these. Every node's parent is in the tree and of
/// its domain or common, so nodes leave leaves first. Memory for max_nodes is reserved at
/// construction (touched as it is used); afterwards only match allocates. find, insert, remove:
/// O(1) expected.
///
/// Where attention has a window, what lies below a node may have rolled on without it: the node
/// below is cut from its parent, and what is said of paths holds of the pieces between cuts. Then
/// the upper piece may lose its pages, last one first, though nodes follow: such a node is hollow,
/// it only says what came before. A hollow node is never a leaf, and all nodes below it are cut.
///
///     [page 4] -- [hollow] -- [hollow] -cut- [page 2] -- [page 9]
///
/// What comes back without its early pages enters them hollow, and at once the page that follows.
///
/// The seed keeps outsiders from choosing tokens that all land in one bucket: draw it anew at each
/// start. One thread (the engine's).
class PrefixTree {
public:
    explicit PrefixTree(std::uint32_t max_nodes, std::uint64_t seed = 0,
                        NodeHash hash = xxh3_node_hash);

    /// The longest chain of nodes for the whole pages at the start of tokens, first page first:
    /// the domain's own, or the common ones that they follow.
    std::vector<NodeId> match(DomainId domain, std::span<const TokenId> tokens) const;
    /// The node that a reader of this domain finds after parent: its own, else a common one.
    std::optional<NodeId> find(DomainId reader, NodeId parent, PageTokens tokens) const;

    struct Inserted {
        NodeId node;
        bool is_new;  // false: an equal node was there and keeps its own page
    };
    /// REQUIRES: parent is kNoNode or a node of this domain or a common one; fewer than max_nodes
    /// nodes, or an equal one there. Cut from a parent that is not resident.
    Inserted insert(DomainId domain, NodeId parent, PageTokens tokens, PageId page);
    /// REQUIRES: as insert, no equal one there; something with a page follows before anything else
    /// is done.
    NodeId insert_hollow(DomainId domain, NodeId parent, PageTokens tokens);
    /// REQUIRES: node is a leaf.
    void remove(NodeId node);
    bool is_full() const { return n_nodes_ == max_nodes_; }
    std::uint32_t n_unused() const { return max_nodes_ - n_nodes_; }
    std::uint32_t n_hollow() const { return n_hollow_; }

    /// From here on the node does without its parent.
    void cut(NodeId node);
    bool is_cut(NodeId node) const { return at(node).is_cut; }
    /// The page is given up, the node stays. REQUIRES: an end, not a leaf.
    void hollow_out(NodeId node);
    bool is_hollow(NodeId node) const { return at(node).is_hollow; }
    /// A hollow node's page is there again. It stays cut from a parent that is not resident.
    void fill(NodeId node, PageId page);

    /// Out of the device's memory and back in. REQUIRES: on the frontier; in host memory, a
    /// resident parent, or none, or cut from it.
    void move_out(NodeId node, HostSlot slot);
    void move_in(NodeId node, PageId page);
    bool is_resident(NodeId node) const { return at(node).slot == kNoSlot && !at(node).is_hollow; }
    /// Resident, and nothing resident follows without a cut.
    bool is_frontier(NodeId node) const {
        return is_resident(node) && at(node).n_resident_children == 0;
    }
    /// Nothing with a page follows without a cut.
    bool is_end(NodeId node) const { return at(node).n_kept_children == 0; }
    HostSlot slot(NodeId node) const { return at(node).slot; }  // kNoSlot: resident, or hollow

    /// REQUIRES: resident.
    PageId page(NodeId node) const { return at(node).page; }
    NodeId parent(NodeId node) const { return at(node).key.parent; }
    DomainId domain(NodeId node) const { return at(node).key.domain; }
    PageTokens tokens(NodeId node) const { return at(node).key.tokens; }
    std::uint32_t depth(NodeId node) const { return at(node).depth; }  // pages before it
    bool is_leaf(NodeId node) const { return at(node).n_children == 0; }
    bool contains(NodeId node) const {
        return to_index(node) < nodes_.size() && nodes_[to_index(node)].in_use;
    }
    std::uint32_t n_nodes() const { return n_nodes_; }
    /// Ids are below this: for walks over all nodes, with contains().
    std::uint32_t id_limit() const { return static_cast<std::uint32_t>(nodes_.size()); }

    /// The paragraph above as code, O(nodes) expected; aborts where it does not hold.
    void check_invariants() const;

private:
    struct Node {
        NodeKey key;
        PageId page{};
        std::uint32_t depth = 0;
        std::uint32_t n_children = 0;
        std::uint32_t n_kept_children = 0;      // not cut, with a page in either tier
        std::uint32_t n_resident_children = 0;  // of these, on the device
        HostSlot slot = kNoSlot;
        NodeId next = kNoNode;  // in the same bucket, or in the list of unused nodes
        bool in_use = false;
        bool is_cut = false;
        bool is_hollow = false;
    };
    NodeId add(const NodeKey& key, std::size_t bucket);
    bool follows_page(NodeId parent) const { return parent == kNoNode || is_resident(parent); }
    void count_at_parent(const Node& node, bool is_more);
    const Node& at(NodeId node) const;
    std::size_t bucket_of(const NodeKey& key) const;
    NodeId find_in_bucket(std::size_t bucket, const NodeKey& key) const;

    std::uint32_t max_nodes_;
    std::uint64_t seed_;
    NodeHash hash_;
    std::vector<NodeId> buckets_;  // heads of lists; a power of two, at least max_nodes
    std::vector<Node> nodes_;
    NodeId unused_ = kNoNode;
    std::uint32_t n_nodes_ = 0;
    std::uint32_t n_hollow_ = 0;
};

}  // namespace kvasir
