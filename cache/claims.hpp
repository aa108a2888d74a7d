// Claims: on whose behalf cached pages are kept. A page nobody claims is freed, not merely
// evictable.
#pragma once

#include <cstdint>
#include <vector>

#include "cache/prefix_tree.hpp"

namespace kvasir {

/// A path that somebody keeps: from the start of a sequence to a tip.
enum class BranchId : std::uint32_t {};
constexpr BranchId kNoBranch{0xffffffffU};
constexpr std::uint32_t to_index(BranchId id) {
    return static_cast<std::uint32_t>(id);
}

///     start -- n1 -- n2 -- n3          branch a: tip n3     n1, n2: 2 branches; n3, n4: 1
///                     \--- n4          branch b: tip n4
///
/// A claim covers a whole path, so a node's claims are its parent's too: of any path only the end
/// is ever unclaimed, and what is freed is freed leaves first. Claims are branches (a session's, a
/// prefix's, a context's: holders.hpp) and the one anonymous claim that all nameless requests
/// share. One thread (the engine's).
class Claims {
public:
    explicit Claims(const PrefixTree& tree, std::uint32_t max_nodes);

    /// A new branch that covers nothing.
    BranchId open();
    /// The branch ends at tip from now on (kNoNode: covers nothing). O(nodes that differ).
    /// The nodes that are no longer on its path follow in left(), deepest first.
    void move(BranchId branch, NodeId tip);
    /// REQUIRES: covers nothing.
    void close(BranchId branch);
    NodeId tip(BranchId branch) const { return branches_[to_index(branch)].tip; }
    const std::vector<NodeId>& left() const { return left_; }

    /// The anonymous claim covers the path to this node.
    void claim_anonymously(NodeId tip);
    void drop_anonymous(NodeId node);

    std::uint32_t n_branches(NodeId node) const { return nodes_[to_index(node)].n_branches; }
    bool is_anonymous(NodeId node) const { return nodes_[to_index(node)].anonymous; }
    bool is_claimed(NodeId node) const { return n_branches(node) > 0 || is_anonymous(node); }
    std::uint32_t n_branches() const { return n_open_; }
    /// Nodes with a page that a branch covers.
    std::uint32_t n_held() const { return n_held_; }
    /// The node has just become hollow, or has a page again.
    void page_changed(NodeId node);

    /// The node leaves the tree though it may be claimed: tips there go to its parent.
    /// REQUIRES: a leaf, still in the tree.
    void forget(NodeId node);

    /// O(nodes + covered nodes); aborts where the first paragraph does not hold.
    void check_invariants() const;

private:
    struct Node {
        std::uint32_t n_branches = 0;
        BranchId first_tip = kNoBranch;  // list of the branches that end here
        bool anonymous = false;
    };
    struct Branch {
        NodeId tip = kNoNode;
        BranchId next = kNoBranch;  // at the same tip, or in the list of unused branches
        BranchId previous = kNoBranch;
        bool in_use = false;
    };
    bool is_held(NodeId node) const { return n_branches(node) > 0 && !tree_.is_hollow(node); }
    void link(BranchId branch, NodeId tip);
    void unlink(BranchId branch);

    const PrefixTree& tree_;
    std::vector<Node> nodes_;  // (max_nodes): by node
    std::vector<Branch> branches_;
    std::vector<NodeId> left_;  // of the last move
    BranchId unused_ = kNoBranch;
    std::uint32_t n_open_ = 0;
    std::uint32_t n_held_ = 0;
};

}  // namespace kvasir
