#include "cache/claims.hpp"

#include "config/base/check.hpp"

namespace kvasir {

Claims::Claims(const PrefixTree& tree, std::uint32_t max_nodes) : tree_(tree), nodes_(max_nodes) {
    left_.reserve(max_nodes);  // touched as it is used; then a move does not allocate
}

BranchId Claims::open() {
    BranchId branch = unused_;
    if (branch == kNoBranch) {
        branch = BranchId{static_cast<std::uint32_t>(branches_.size())};
        branches_.emplace_back();
    } else {
        unused_ = branches_[to_index(branch)].next;
    }
    branches_[to_index(branch)] = {.in_use = true};
    ++n_open_;
    return branch;
}

void Claims::close(BranchId branch) {
    Branch& entry = branches_[to_index(branch)];
    KVASIR_CHECK(entry.in_use && entry.tip == kNoNode, "a branch that closes covers nothing");
    entry = {.next = unused_};
    unused_ = branch;
    --n_open_;
}

void Claims::link(BranchId branch, NodeId tip) {
    Branch& entry = branches_[to_index(branch)];
    entry.tip = tip;
    entry.previous = kNoBranch;
    entry.next = kNoBranch;
    if (tip == kNoNode) return;
    Node& node = nodes_[to_index(tip)];
    entry.next = node.first_tip;
    if (entry.next != kNoBranch) branches_[to_index(entry.next)].previous = branch;
    node.first_tip = branch;
}

void Claims::unlink(BranchId branch) {
    const Branch& entry = branches_[to_index(branch)];
    if (entry.tip == kNoNode) return;
    if (entry.next != kNoBranch) branches_[to_index(entry.next)].previous = entry.previous;
    if (entry.previous != kNoBranch) {
        branches_[to_index(entry.previous)].next = entry.next;
    } else {
        nodes_[to_index(entry.tip)].first_tip = entry.next;
    }
}

void Claims::move(BranchId branch, NodeId tip) {
    KVASIR_CHECK(branches_[to_index(branch)].in_use, "an open branch is moved");
    left_.clear();
    NodeId from = branches_[to_index(branch)].tip;
    NodeId to = tip;
    unlink(branch);
    link(branch, tip);
    // Up both paths to where they meet.
    while (from != to) {
        const bool from_is_deeper =
            to == kNoNode || (from != kNoNode && tree_.depth(from) >= tree_.depth(to));
        if (from_is_deeper) {
            if (--nodes_[to_index(from)].n_branches == 0 && !tree_.is_hollow(from)) --n_held_;
            left_.push_back(from);
            from = tree_.parent(from);
        } else {
            if (nodes_[to_index(to)].n_branches++ == 0 && !tree_.is_hollow(to)) ++n_held_;
            to = tree_.parent(to);
        }
    }
}

void Claims::claim_anonymously(NodeId tip) {
    for (NodeId node = tip; node != kNoNode && !is_anonymous(node); node = tree_.parent(node))
        nodes_[to_index(node)].anonymous = true;
}

void Claims::drop_anonymous(NodeId node) {
    nodes_[to_index(node)].anonymous = false;
}

void Claims::page_changed(NodeId node) {
    if (n_branches(node) == 0) return;
    is_held(node) ? ++n_held_ : --n_held_;
}

void Claims::forget(NodeId node) {
    KVASIR_CHECK(tree_.is_leaf(node), "nodes leave the tree leaves first");
    const NodeId parent = tree_.parent(node);
    Node& entry = nodes_[to_index(node)];
    while (entry.first_tip != kNoBranch) {
        const BranchId branch = entry.first_tip;
        unlink(branch);
        link(branch, parent);
    }
    if (is_held(node)) --n_held_;
    entry = {};
}

void Claims::check_invariants() const {
    std::vector<std::uint32_t> n_branches(nodes_.size());
    std::uint32_t n_open = 0;
    for (std::uint32_t i = 0; i < branches_.size(); ++i) {
        if (!branches_[i].in_use) continue;
        ++n_open;
        for (NodeId node = branches_[i].tip; node != kNoNode; node = tree_.parent(node))
            ++n_branches[to_index(node)];
    }
    KVASIR_CHECK(n_open == n_open_, "the count of branches is right");
    std::uint32_t n_held = 0;
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
        const NodeId node{i};
        KVASIR_CHECK(nodes_[i].n_branches == n_branches[i], "a node's branches are counted");
        n_held += is_held(node) ? 1 : 0;
        for (BranchId b = nodes_[i].first_tip; b != kNoBranch; b = branches_[to_index(b)].next)
            KVASIR_CHECK(branches_[to_index(b)].tip == node, "a tip lists its branches");
        if (!tree_.contains(node)) {
            KVASIR_CHECK(!is_claimed(node), "what is claimed is in the tree");
            continue;
        }
        const NodeId parent = tree_.parent(node);
        KVASIR_CHECK(!is_anonymous(node) || parent == kNoNode || is_anonymous(parent),
                     "the anonymous claim covers whole paths");
    }
    KVASIR_CHECK(n_held == n_held_, "the count of held nodes is right");
}

}  // namespace kvasir
