#include "cache/retainer.hpp"

#include <algorithm>
#include <xxhash.h>

#include "config/base/check.hpp"

namespace kvasir {
namespace {

constexpr std::uint64_t kMinRefreshInterval =
    256;  // pages asked for; a refresh costs less than one page's prefill

}  // namespace

Retainer::Retainer(RetentionPolicy policy, std::uint32_t n_pages, std::uint32_t n_hollow,
                   std::uint32_t n_host, std::uint64_t seed, std::size_t n_groups)
    : policy_(policy),
      n_pages_(n_pages),
      seed_(seed),
      n_groups_(n_groups),
      facts_(n_pages + n_hollow),
      paths_(n_pages + n_hollow),
      orders_{EvictionOrder(n_pages + n_hollow, n_groups),
              EvictionOrder(n_host > 0 ? n_pages + n_hollow : 0, n_groups)} {
    if (policy_ == RetentionPolicy::kvasir) history_.emplace(n_pages);
}

void Retainer::refresh() {
    if (!history_ || use_clock_ < next_refresh_) return;
    values_ = make_keep_values(history_->statistics(use_clock_), n_pages_);
    next_refresh_ = use_clock_ + std::max<std::uint64_t>(kMinRefreshInterval, n_pages_ / 4);
}

PathHash Retainer::start_of(DomainId domain) const {
    return XXH3_64bits_withSeed(&domain, sizeof domain, seed_);
}

PathHash Retainer::next_path(PathHash parent, PageTokens tokens) {
    return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
}

std::optional<ReuseHistory::Wait> Retainer::ask(PathHash path) {
    if (!samples(path)) return std::nullopt;
    return history_->end_wait(path, use_clock_);
}

void Retainer::enter(NodeId node, PathHash path, std::uint32_t depth, std::uint32_t n_hits) {
    paths_[to_index(node)] = path;
    facts_[to_index(node)] = {
        .entered = use_clock_, .last_use = use_clock_, .depth = depth, .n_hits = n_hits};
}

void Retainer::found(NodeId node, bool was_cached) {
    ++facts_[to_index(node)].n_hits;
    if (was_cached) ask(path_of(node));
}

void Retainer::used(NodeId node, std::uint32_t n_known, std::uint32_t n_pages,
                    std::uint64_t now_ms) {
    PageFacts& facts = facts_[to_index(node)];
    facts.last_use = use_clock_;
    facts.last_use_ms = now_ms;
    facts.last_n_known = n_known;
    facts.last_n_pages = n_pages;
}

void Retainer::wait(NodeId node) {
    if (!history_) return;
    const PageFacts& facts = facts_[to_index(node)];
    history_->begin_wait(path_of(node), retention_class(facts), facts.n_hits, use_clock_);
}

void Retainer::queue(NodeId node, Standing standing, GroupId group, Tier tier) {
    const PageFacts& facts = facts_[to_index(node)];
    order_of(tier).insert(to_index(node), eviction_rank(policy_, facts),
                          history_ ? retention_class(facts) : 0, standing, group);
}

void Retainer::unqueue(NodeId node) {
    order_of(order_of(Tier::device).contains(to_index(node)) ? Tier::device : Tier::host)
        .erase(to_index(node));
}

std::optional<Retainer::Candidate> Retainer::find_next(Tier tier, GroupId group) const {
    const EvictionOrder& order = order_of(tier);
    return history_ ? order.find_least_valued(values_, use_clock_, group) : order.find_first(group);
}

NodeId Retainer::pop(Tier tier) {
    std::optional<Candidate> first;
    for (std::size_t i = 0; i < n_groups_; ++i) {
        const auto next = find_next(tier, GroupId{static_cast<std::uint32_t>(i)});
        if (next && (!first || next->goes_before(*first))) first = next;
    }
    KVASIR_CHECK(first.has_value(), "what is taken out is queued");
    order_of(tier).erase(first->id);
    return NodeId{first->id};
}

void Retainer::forget(NodeId node) {
    if (history_) history_->forget(path_of(node));
}

void Retainer::check_invariants() const {
    for (const EvictionOrder& order : orders_) order.check_invariants();
    if (history_) history_->check_invariants();
}

}  // namespace kvasir
