#include "daemon/model/tokenizer_merges.hpp"

#include <algorithm>
#include <limits>

namespace kvasir {
namespace {

constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
constexpr TokenId kDead = std::numeric_limits<TokenId>::max();

/// The heap's top is the candidate to merge next.
bool merges_later(const BpeMerges::Candidate& a, const BpeMerges::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeMerges::BpeMerges(std::uint32_t n_symbols, std::span<const BpeMerge> merges) {
    std::vector<std::uint32_t> order(merges.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto key = [merges](std::uint32_t i) {
        return (std::uint64_t{merges[i].left} << 32) | merges[i].right;
    };
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        if (key(a) != key(b)) return key(a) < key(b);
        return merges[a].rank != merges[b].rank ? merges[a].rank < merges[b].rank : a < b;
    });
    entries_.reserve(order.size());
    begins_.assign(std::size_t{n_symbols} + 1, 0);
    for (std::size_t i = 0; i < order.size(); ++i) {
        if (i > 0 && key(order[i]) == key(order[i - 1])) continue;
        const BpeMerge& merge = merges[order[i]];
        entries_.push_back({merge.right, merge.rank, merge.merged});
        ++begins_[merge.left + 1];
    }
    for (std::size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
}

const BpeMerges::Entry* BpeMerges::find(TokenId left, TokenId right) const {
    const auto begin = entries_.begin() + begins_[left];
    const auto end = entries_.begin() + begins_[left + 1];
    const auto found = std::lower_bound(
        begin, end, right, [](const Entry& entry, TokenId id) { return entry.right < id; });
    return found != end && found->right == right ? &*found : nullptr;
}

void BpeMerges::push_candidate(Scratch& scratch, std::uint32_t position) const {
    const Symbol& symbol = scratch.symbols[position];
    if (symbol.next == kEnd) return;
    const TokenId right = scratch.symbols[symbol.next].id;
    const Entry* entry = find(symbol.id, right);
    if (entry == nullptr) return;
    scratch.heap.push_back({entry->rank, position, symbol.id, right, entry->merged});
    std::push_heap(scratch.heap.begin(), scratch.heap.end(), merges_later);
}

void BpeMerges::apply(std::span<const TokenId> symbols, Scratch& scratch,
                      std::vector<TokenId>& out) const {
    const auto n = static_cast<std::uint32_t>(symbols.size());
    scratch.heap.clear();
    scratch.symbols.resize(n);
    for (std::uint32_t i = 0; i < n; ++i)
        scratch.symbols[i] = {symbols[i], i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1};
    for (std::uint32_t i = 0; i < n; ++i) push_candidate(scratch, i);
    while (!scratch.heap.empty()) {
        std::pop_heap(scratch.heap.begin(), scratch.heap.end(), merges_later);
        const Candidate candidate = scratch.heap.back();
        scratch.heap.pop_back();
        Symbol& left = scratch.symbols[candidate.position];
        // Stale when either side has merged with something else since.
        if (left.id != candidate.left || left.next == kEnd) continue;
        Symbol& right = scratch.symbols[left.next];
        if (right.id != candidate.right) continue;
        left.id = candidate.merged;
        left.next = right.next;
        right.id = kDead;
        if (left.next != kEnd) scratch.symbols[left.next].previous = candidate.position;
        if (left.previous != kEnd) push_candidate(scratch, left.previous);
        push_candidate(scratch, candidate.position);
    }
    for (std::uint32_t i = 0; i != kEnd && i < n; i = scratch.symbols[i].next)
        out.push_back(scratch.symbols[i].id);
}

}  // namespace kvasir
