#include "cache/open_slots.hpp"

#include <algorithm>

#include "config/base/check.hpp"
#include "config/base/wipe.hpp"

namespace kvasir {

OpenSlots::OpenSlots(std::uint32_t n) : used_(n, false) {
    for (std::uint32_t i = n; i > 0; --i) free_.push_back(i - 1);
    free_.reserve(n);
    tails_.reserve(n);
}

std::uint32_t OpenSlots::acquire() {
    if (free_.empty()) {
        KVASIR_CHECK(!tails_.empty(), "open slots are counted for the largest step");
        free_.push_back(tails_.front().slot);
        tails_.erase(tails_.begin());
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    used_[slot] = true;
    return slot;
}

std::vector<std::uint32_t> OpenSlots::take_freed() {
    std::vector<std::uint32_t> freed;
    for (const std::uint32_t slot : free_) {
        if (!used_[slot]) continue;
        used_[slot] = false;
        freed.push_back(slot);
    }
    return freed;
}

void OpenSlots::release(std::uint32_t slot) {
    free_.push_back(slot);
}

template <class Predicate>
void OpenSlots::drop_if(Predicate predicate) {
    std::erase_if(tails_, [&](Tail& tail) {
        if (!predicate(tail)) return false;
        wipe(tail.tokens);
        free_.push_back(tail.slot);
        return true;
    });
}

void OpenSlots::keep(std::uint32_t slot, DomainId domain, NodeId parent,
                     std::span<const TokenId> tokens, TailOwner owner, std::uint64_t now_ms) {
    KVASIR_CHECK(!tokens.empty() && tokens.size() < kTokensPerPage, "a tail is part of a page");
    drop_if([&](const Tail& tail) {
        return tail.domain == domain && tail.parent == parent && tail.owner == owner &&
               tail.tokens.size() <= tokens.size() &&
               std::ranges::equal(tail.tokens, tokens.first(tail.tokens.size()));
    });
    tails_.push_back({.slot = slot,
                      .domain = domain,
                      .parent = parent,
                      .owner = owner,
                      .used_ms = now_ms,
                      .tokens = {tokens.begin(), tokens.end()}});
}

std::optional<OpenSlots::Match> OpenSlots::match(DomainId reader, NodeId parent,
                                                 std::span<const TokenId> tokens) const {
    std::optional<Match> best;
    for (const Tail& tail : tails_) {
        if (tail.parent != parent || (tail.domain != reader && tail.domain != kCommonDomain))
            continue;
        const auto n = static_cast<std::uint32_t>(std::ranges::mismatch(tail.tokens, tokens).in1 -
                                                  tail.tokens.begin());
        const bool is_whole = n == tail.tokens.size();
        if (n == 0) continue;
        // Of equal matches the whole one: it needs no copy.
        if (!best || n > best->n_tokens || (n == best->n_tokens && is_whole))
            best = Match{.slot = tail.slot, .n_tokens = n, .is_whole = is_whole};
    }
    return best;
}

std::uint32_t OpenSlots::adopt(const Match& match, std::uint64_t now_ms) {
    const auto at = std::ranges::find(tails_, match.slot, &Tail::slot);
    KVASIR_CHECK(at != tails_.end(), "what matched is still a tail");
    if (match.is_whole) {
        tails_.erase(at);
        return match.slot;
    }
    at->used_ms = now_ms;
    std::rotate(at, at + 1, tails_.end());
    // The last to go: with one tail and no free slot there is no second slot to copy to.
    if (free_.empty() && tails_.size() == 1) {
        tails_.clear();
        return match.slot;
    }
    return acquire();
}

void OpenSlots::forget(NodeId parent) {
    drop_if([&](const Tail& tail) { return tail.parent == parent; });
}

void OpenSlots::drop(TailOwner owner) {
    drop_if([&](const Tail& tail) { return tail.owner == owner; });
}

void OpenSlots::drop(DomainId domain) {
    drop_if([&](const Tail& tail) { return tail.domain == domain; });
}

void OpenSlots::drop_all() {
    drop_if([](const Tail&) { return true; });
}

void OpenSlots::expire(std::uint64_t used_before_ms) {
    drop_if(
        [&](const Tail& tail) { return tail.owner == kAnybody && tail.used_ms < used_before_ms; });
}

}  // namespace kvasir
