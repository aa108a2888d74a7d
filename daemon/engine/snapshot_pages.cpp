#include "daemon/engine/snapshot_pages.hpp"

#include <algorithm>
#include <map>

#include "config/base/check.hpp"

namespace kvasir {

SnapshotPlan plan_snapshot(const PrefixTree& tree, std::span<const PlannedBranch> branches) {
    SnapshotPlan plan;
    std::map<NodeId, std::uint32_t> index_of;
    for (const PlannedBranch& branch : branches) {
        std::vector<NodeId> fresh;  // deepest first
        NodeId node = branch.tip;
        for (; node != kNoNode && !index_of.contains(node); node = tree.parent(node))
            fresh.push_back(node);
        for (auto it = fresh.rbegin(); it != fresh.rend(); ++it) {
            const NodeId parent = tree.parent(*it);
            SnapshotPage page;
            if (parent != kNoNode) page.parent = index_of.at(parent);
            std::ranges::copy(tree.tokens(*it), page.tokens.begin());
            page.is_absent = tree.is_hollow(*it);
            index_of[*it] = static_cast<std::uint32_t>(plan.nodes.size());
            plan.nodes.push_back(*it);
            plan.head.pages.push_back(page);
        }
        plan.head.branches.push_back(
            {branch.tip == kNoNode ? SnapshotPage::kNoParent : index_of.at(branch.tip),
             branch.context});
    }
    return plan;
}

SnapshotPlan plan_snapshot(const KvCache& cache, const Holder& holder) {
    std::vector<PlannedBranch> branches;
    bool is_whole = true;
    for (const Holder::Branch& branch : holder.branches) {
        // What a salt keeps apart would come back as the domain's own.
        const NodeId tip = cache.tip(branch.id);
        const DomainId domain = tip == kNoNode ? holder.domain : cache.tree().domain(tip);
        const bool is_own = domain == holder.domain || domain == kCommonDomain;
        is_whole = is_whole && is_own;
        if (is_own) branches.push_back({tip, branch.context});
    }
    SnapshotPlan plan = plan_snapshot(cache.tree(), branches);
    plan.head.kind = holder.kind;
    plan.head.name = holder.name;
    plan.head.context = holder.context;
    plan.head.idle_ms = holder.ttl.idle_ms;
    plan.head.absolute_ms = holder.ttl.absolute_ms;
    if (!is_whole) return plan;
    plan.head.n_last_prompt = holder.last.n_prompt;
    plan.head.n_last_pages = holder.last.n_pages;
    plan.head.last_tail = holder.last.tail;
    return plan;
}

void cut_snapshot(SnapshotHead& head, std::uint32_t n_pages) {
    for (SnapshotBranch& branch : head.branches)
        while (branch.tip != SnapshotPage::kNoParent && branch.tip >= n_pages)
            branch.tip = head.pages[branch.tip].parent;
    head.pages.resize(std::min<std::size_t>(head.pages.size(), n_pages));
}

Result<> read_cached_page(Model& model, HostPages* host, const PrefixTree& tree, NodeId node,
                          std::span<std::byte> bytes) {
    if (tree.is_resident(node)) return model.read_page(tree.page(node), bytes);
    const bool is_there = host != nullptr && !tree.is_hollow(node);
    if (is_there && host->copy(tree.slot(node), bytes)) return {};
    return Error{ErrorCode::not_found, "a page that neither tier has"};
}

std::vector<std::uint32_t> SnapshotRestore::path_to(std::uint32_t tip) const {
    std::vector<std::uint32_t> path;
    for (std::uint32_t i = tip; i != SnapshotPage::kNoParent; i = head_.pages[i].parent)
        path.push_back(i);
    std::ranges::reverse(path);
    return path;
}

std::vector<TokenId> SnapshotRestore::tokens_of(std::span<const std::uint32_t> path) const {
    std::vector<TokenId> tokens;
    for (const std::uint32_t i : path)
        tokens.insert(tokens.end(), head_.pages[i].tokens.begin(), head_.pages[i].tokens.end());
    return tokens;
}

void SnapshotRestore::skip_absent() {
    while (!is_whole() && head_.pages[next_].is_absent) ++next_;
}

/// The branch whose pages come next: the first that has this page.
Result<> SnapshotRestore::begin_branch(std::uint64_t now_ms) {
    const auto branch = std::ranges::find_if(head_.branches, [&](const SnapshotBranch& b) {
        return b.tip != SnapshotPage::kNoParent && b.tip >= next_ &&
               std::ranges::binary_search(path_to(b.tip), next_);
    });
    if (branch == head_.branches.end())
        return Error{ErrorCode::corrupt, "snapshot: a page that no branch has"};
    Branch begun{.path = path_to(branch->tip), .sequence = {}};
    const std::vector<TokenId> tokens = tokens_of(begun.path);
    KVASIR_TRY(begun.sequence,
               cache_.begin(domain_, tokens, static_cast<std::uint32_t>(tokens.size()), now_ms,
                            KvCache::Lookup::allowed));
    begun.sequence.keep(KvCache::Keep::as_claimed);
    branches_.push_back(std::move(begun));
    return {};
}

Result<> SnapshotRestore::take(std::span<const std::byte> bytes, std::uint64_t now_ms) {
    KVASIR_CHECK(!is_whole(), "a snapshot has no more pages than its head says");
    if (branches_.empty() || branches_.back().path.back() < next_)
        KVASIR_TRY_VOID(begin_branch(now_ms));
    Branch& branch = branches_.back();
    const std::uint32_t index = next_++;
    skip_absent();
    const auto at = std::ranges::lower_bound(branch.path, index);
    if (at == branch.path.end() || *at != index)
        return Error{ErrorCode::corrupt, "snapshot: its pages do not follow its branches"};
    const auto depth = static_cast<std::uint32_t>(at - branch.path.begin());
    const std::uint32_t n_there = branch.sequence.n_tokens() / kTokensPerPage;
    if (depth < n_there) return {};
    if (depth > n_there && !cache_.has_window())
        return Error{ErrorCode::unsupported, "snapshot: pages that every token sees are absent"};
    // Absent ones, and another branch's that are outside this one's window.
    for (std::uint32_t i = n_there; i < depth; ++i)
        branch.sequence.pass(head_.pages[branch.path[i]].tokens);
    if (branch.sequence.max_step_tokens() < kTokensPerPage)
        return Error{ErrorCode::exhausted, "snapshot: no page is free for the next of its own"};
    const PageId page = branch.sequence.ensure_page(depth);
    KVASIR_TRY_VOID(model_.write_page(page, bytes));
    branch.sequence.append(head_.pages[index].tokens);
    branch.sequence.commit(now_ms);
    return {};
}

std::vector<NodeId> SnapshotRestore::tips() const {
    KVASIR_CHECK(is_whole(), "all pages are there");
    std::map<std::uint32_t, NodeId> node_of;  // by page
    const PrefixTree& tree = cache_.tree();
    for (const Branch& branch : branches_) {
        // Not the whole path where it ends with absent pages, or the tree has no room.
        for (NodeId node = branch.sequence.tip(); node != kNoNode; node = tree.parent(node))
            node_of[branch.path[tree.depth(node)]] = node;
    }
    std::vector<NodeId> tips;
    for (const SnapshotBranch& branch : head_.branches) {
        std::uint32_t page = branch.tip;
        while (page != SnapshotPage::kNoParent && !node_of.contains(page))
            page = head_.pages[page].parent;
        tips.push_back(page == SnapshotPage::kNoParent ? kNoNode : node_of.at(page));
    }
    return tips;
}

void SnapshotRestore::give(Holders& holders, Holder& holder, std::uint64_t boot_ms,
                           std::uint64_t wall_ms) {
    const auto to_boot = [&](std::uint64_t then_ms) {
        const std::uint64_t ago = wall_ms > then_ms ? wall_ms - then_ms : 0;
        return boot_ms > ago ? boot_ms - ago : 0;
    };
    const std::vector<NodeId> tips = this->tips();
    for (std::size_t i = 0; i < tips.size(); ++i) {
        if (tips[i] == kNoNode) continue;
        holder.context = head_.branches[i].context;
        const std::uint32_t n_pages = cache_.tree().depth(tips[i]) + 1;
        const std::vector<TokenId> tokens(std::size_t{n_pages} * kTokensPerPage);
        holders.hold(holder, tips[i], tokens, 0, boot_ms);
    }
    holder.context = head_.context;
    holder.last = {
        .n_prompt = head_.n_last_prompt, .n_pages = head_.n_last_pages, .tail = head_.last_tail};
    holder.ttl = {.idle_ms = head_.idle_ms, .absolute_ms = head_.absolute_ms};
    holder.created_ms = to_boot(head_.created_ms);
    holder.last_used_ms = boot_ms;
}

}  // namespace kvasir
