#include "cache/holders.hpp"

#include <algorithm>
#include <limits>

#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

std::uint64_t later(std::uint64_t from, std::optional<std::uint64_t> by) {
    return by && *by < kNever - from ? from + *by : kNever;
}

}  // namespace

std::uint64_t Holder::expires_at_ms() const {
    return std::min(later(last_used_ms, ttl.idle_ms), later(created_ms, ttl.absolute_ms));
}

Holders::~Holders() {
    forget_ = nullptr;
    while (!holders_.empty()) end(holders_.begin()->second);
}

Holder* Holders::find(HolderKind kind, DomainId domain, const std::string& name) {
    const auto found = holders_.find(Key{kind, domain, name});
    return found == holders_.end() ? nullptr : &found->second;
}

Result<Holder*> Holders::use(HolderKind kind, DomainId domain, const std::string& name,
                             std::uint64_t now_ms) {
    if (Holder* found = find(kind, domain, name)) {
        found->last_used_ms = now_ms;
        return found;
    }
    std::uint32_t n = 0;
    Holder* idlest = nullptr;
    for (auto it = holders_.lower_bound(Key{kind, domain, std::string()});
         it != holders_.end() && it->second.kind == kind && it->second.domain == domain; ++it) {
        ++n;
        Holder& one = it->second;
        if (one.n_running == 0 && (idlest == nullptr || one.last_used_ms < idlest->last_used_ms))
            idlest = &one;
    }
    if (n >= limits_.n_per_domain) {
        if (idlest == nullptr || kind == HolderKind::prefix) {
            return Error{ErrorCode::exhausted,
                         std::to_string(n) + " of these exist already, and none can go"};
        }
        end(*idlest, DropReason::request);
    }
    Holder& made = holders_[Key{kind, domain, name}];
    ++counts_[static_cast<std::size_t>(kind)];
    made.id = TailOwner{next_id_++};
    made.kind = kind;
    made.domain = domain;
    made.name = name;
    made.created_ms = now_ms;
    made.last_used_ms = now_ms;
    if (kind != HolderKind::prefix) made.ttl = limits_.session_ttl;
    return &made;
}

/// Whether node is tip or before it.
bool Holders::is_on_path(NodeId node, NodeId tip) const {
    const PrefixTree& tree = cache_.tree();
    if (node == kNoNode) return true;
    while (tip != kNoNode && tree.depth(tip) > tree.depth(node)) tip = tree.parent(tip);
    return tip == node;
}

/// The one that a path to tip goes on from: the longest of those before it, else one that goes on
/// from it, else none.
std::vector<Holder::Branch>::iterator Holders::branch_for(Holder& holder, NodeId tip) const {
    const auto n_pages = [&](NodeId node) {
        return node == kNoNode ? 0 : cache_.tree().depth(node) + 1;
    };
    auto best = holder.branches.end();
    for (auto it = holder.branches.begin(); it != holder.branches.end(); ++it) {
        const NodeId end = cache_.tip(it->id);
        if (!is_on_path(end, tip)) continue;
        if (best == holder.branches.end() || n_pages(end) > n_pages(cache_.tip(best->id)))
            best = it;
    }
    if (best != holder.branches.end()) return best;
    return std::ranges::find_if(holder.branches,
                                [&](const auto& b) { return is_on_path(tip, cache_.tip(b.id)); });
}

void Holders::hold(Holder& holder, NodeId tip, std::span<const TokenId> tokens,
                   std::uint32_t n_prompt, std::uint64_t now_ms) {
    holder.last_used_ms = std::max(holder.last_used_ms, now_ms);
    const std::uint32_t n_pages = tip == kNoNode ? 0 : cache_.tree().depth(tip) + 1;
    holder.last.n_prompt = n_prompt;
    holder.last.n_pages = n_pages;
    const auto tail =
        tokens.subspan(std::min<std::size_t>(tokens.size(), std::size_t{n_pages} * kTokensPerPage));
    holder.last.tail.assign(tail.begin(), tail.end());
    if (tip == kNoNode) return;

    // What can throw comes before the first claim moves.
    auto& branches = holder.branches;
    branches.reserve(branches.size() + 1);
    std::string context = holder.context;
    auto at = branch_for(holder, tip);
    if (at == branches.end()) at = branches.insert(at, {cache_.open_branch(), {}});
    // A prefix becomes what was computed last; a session's longer branch stays as it is.
    if (holder.kind == HolderKind::prefix || is_on_path(cache_.tip(at->id), tip))
        cache_.move_branch(at->id, tip);
    at->context = std::move(context);
    std::rotate(at, at + 1, branches.end());
    const std::size_t most = holder.kind == HolderKind::session   ? limits_.n_branches
                             : holder.kind == HolderKind::context ? limits_.n_context_branches
                                                                  : 1;
    while (branches.size() > most) {
        cache_.close_branch(branches.front().id);
        branches.erase(branches.begin());
    }
}

KvCache::Freed Holders::drop_context(Holder& holder, const std::string& context) {
    drop_tails(holder);
    tell(holder, DropReason::ended);
    KvCache::Freed freed;
    std::erase_if(holder.branches, [&](const Holder::Branch& branch) {
        if (branch.context != context) return false;
        freed.n_pages += cache_.close_branch(branch.id).n_pages;
        return true;
    });
    return freed;
}

KvCache::Freed Holders::change_context(Holder& holder, const std::string& context) {
    if (context.empty() || context == holder.context) return {};
    const std::string old = std::exchange(holder.context, context);
    if (old.empty()) return {};
    holder.last = {};  // none of its tokens stays
    return drop_context(holder, old);
}

/// Where tokens of a holder are to be gone, its open pages go as well.
void Holders::drop_tails(const Holder& holder) {
    if (OpenSlots* slots = cache_.open_slots()) slots->drop(holder.id);
}

KvCache::Freed Holders::truncate(Holder& holder, std::uint32_t n_tokens) {
    drop_tails(holder);
    tell(holder, DropReason::ended);
    const PrefixTree& tree = cache_.tree();
    KvCache::Freed freed;
    for (const Holder::Branch& branch : holder.branches) {
        NodeId tip = cache_.tip(branch.id);
        while (tip != kNoNode && (tree.depth(tip) + 1) * kTokensPerPage > n_tokens)
            tip = tree.parent(tip);
        freed.n_pages += cache_.move_branch(branch.id, tip).n_pages;
    }
    holder.last = {};
    return freed;
}

KvCache::Freed Holders::end(Holder& holder, DropReason reason) {
    drop_tails(holder);
    tell(holder, reason);
    KvCache::Freed freed;
    for (const Holder::Branch& branch : holder.branches)
        freed.n_pages += cache_.close_branch(branch.id, reason).n_pages;
    --counts_[static_cast<std::size_t>(holder.kind)];
    wipe(holder.last.tail);
    holders_.erase(Key{holder.kind, holder.domain, holder.name});
    return freed;
}

KvCache::Freed Holders::end_context(DomainId domain, const std::string& context) {
    KvCache::Freed freed;
    if (context.empty()) return freed;
    for (auto it = holders_.lower_bound(Key{HolderKind::session, domain, std::string()});
         it != holders_.end() && it->second.kind == HolderKind::session &&
         it->second.domain == domain;
         ++it) {
        freed.n_pages += drop_context(it->second, context).n_pages;
        if (it->second.context != context) continue;
        it->second.context.clear();
        it->second.last = {};
    }
    if (Holder* holder = find(HolderKind::context, domain, context))
        freed.n_pages += end(*holder).n_pages;
    return freed;
}

void Holders::count_prefix_hits(DomainId domain, NodeId tip, std::uint64_t now_ms) {
    for (const DomainId owner : {domain, kCommonDomain}) {
        for (auto it = holders_.lower_bound(Key{HolderKind::prefix, owner, std::string()});
             it != holders_.end() && it->second.kind == HolderKind::prefix &&
             it->second.domain == owner;
             ++it) {
            Holder& prefix = it->second;
            if (prefix.branches.empty() || cache_.tip(prefix.branches.back().id) == kNoNode ||
                !is_on_path(cache_.tip(prefix.branches.back().id), tip))
                continue;
            ++prefix.n_hits;
            prefix.last_used_ms = now_ms;
        }
    }
}

KvCache::Freed Holders::expire(std::uint64_t now_ms) {
    KvCache::Freed freed;
    for (auto it = holders_.begin(); it != holders_.end();) {
        Holder& holder = (it++)->second;  // end erases it
        if (holder.n_running == 0 && holder.expires_at_ms() <= now_ms)
            freed.n_pages += end(holder, DropReason::expired).n_pages;
    }
    return freed;
}

std::uint64_t Holders::next_expiry_ms() const {
    std::uint64_t next = kNever;
    for (const auto& [key, holder] : holders_)
        if (holder.n_running == 0) next = std::min(next, holder.expires_at_ms());
    return next;
}

std::vector<const Holder*> Holders::list(HolderKind kind, DomainId domain) const {
    std::vector<const Holder*> list;
    for (auto it = holders_.lower_bound(Key{kind, domain, std::string()});
         it != holders_.end() && it->second.kind == kind && it->second.domain == domain; ++it)
        list.push_back(&it->second);
    return list;
}

Holders::Pages Holders::pages(const Holder& holder) const {
    const PrefixTree& tree = cache_.tree();
    const Claims& claims = cache_.claims();
    std::map<NodeId, std::uint32_t> own;  // of this holder's branches, how many cover a node
    for (const Holder::Branch& branch : holder.branches) {
        for (NodeId node = cache_.tip(branch.id); node != kNoNode; node = tree.parent(node))
            ++own[node];
    }
    Pages pages;
    for (const auto& [node, n_own] : own) {
        if (tree.is_hollow(node)) continue;
        ++pages.n;
        if (!tree.is_resident(node)) ++pages.n_on_host;
        if (claims.is_anonymous(node) || claims.n_branches(node) > n_own) ++pages.n_shared;
    }
    return pages;
}

std::optional<Holders::Divergence> Holders::find_divergence(const Holder& holder,
                                                            std::span<const TokenId> prompt,
                                                            std::size_t max_old) const {
    if (holder.branches.empty() && holder.last.n_pages > 0) return std::nullopt;  // all evicted
    const PrefixTree& tree = cache_.tree();
    const NodeId tip = holder.branches.empty() ? kNoNode : cache_.tip(holder.branches.back().id);
    std::vector<TokenId> old;
    std::vector<NodeId> path;
    for (NodeId node = tip; node != kNoNode; node = tree.parent(node))
        if (tree.depth(node) < holder.last.n_pages) path.push_back(node);  // the branch may go on
    for (auto node = path.rbegin(); node != path.rend(); ++node) {
        const PageTokens tokens = tree.tokens(*node);
        old.insert(old.end(), tokens.begin(), tokens.end());
    }
    // Where the end was evicted, the tail does not follow on what is left.
    if (path.size() == holder.last.n_pages)
        old.insert(old.end(), holder.last.tail.begin(), holder.last.tail.end());
    const auto [a, b] = std::ranges::mismatch(old, prompt);
    if (a == old.end() || b == prompt.end()) return std::nullopt;
    const auto at = static_cast<std::size_t>(a - old.begin());
    Divergence found{.at = static_cast<std::uint32_t>(at),
                     .old_tokens = {},
                     .in_generated = at >= holder.last.n_prompt};
    found.old_tokens.assign(a, a + static_cast<std::ptrdiff_t>(std::min(max_old, old.size() - at)));
    return found;
}

}  // namespace kvasir
