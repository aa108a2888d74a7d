#include "cache/eviction_order.hpp"

#include <iterator>

#include "config/base/check.hpp"

namespace kvasir {

EvictionOrder::EvictionOrder(std::uint32_t max_ids) : entries_(max_ids) {
    for (std::uint32_t id = 0; id < max_ids; ++id) entries_[id].id = id;
}

EvictionOrder::~EvictionOrder() {
    for (Trees& trees : trees_)
        for (Tree& tree : trees) tree.clear();
}

void EvictionOrder::insert(std::uint32_t id, EvictionRank rank, std::uint32_t retention_class,
                           Standing standing) {
    KVASIR_CHECK(id < entries_.size() && !contains(id), "an id is in the order once");
    Entry& entry = entries_[id];
    entry.rank = rank;
    entry.retention_class = static_cast<std::uint8_t>(retention_class);
    entry.standing = standing;
    const auto s = static_cast<std::size_t>(standing);
    trees_[s][retention_class].insert(entry);
    ++n_ids_[s];
}

void EvictionOrder::erase(std::uint32_t id) {
    KVASIR_CHECK(id < entries_.size() && contains(id), "only what is in the order is taken out");
    Entry& entry = entries_[id];
    const auto s = static_cast<std::size_t>(entry.standing);
    Tree& tree = trees_[s][entry.retention_class];
    tree.erase(tree.iterator_to(entry));
    --n_ids_[s];
}

std::uint32_t EvictionOrder::pop_first() {
    Tree& tree = first_trees()[0];
    KVASIR_CHECK(!tree.empty(), "an empty order has no first");
    const std::uint32_t id = tree.begin()->id;
    erase(id);
    return id;
}

const EvictionOrder::Entry* EvictionOrder::least_of(const Tree& tree, const ValueSegment& segment,
                                                    std::uint64_t use_clock) {
    if (segment.begin > use_clock) return nullptr;
    if (segment.rising) {
        auto it = tree.lower_bound(EvictionRank{use_clock - segment.begin + 1, 0}, Before());
        if (it == tree.begin()) return nullptr;
        const Entry& youngest = *std::prev(it);
        return use_clock - youngest.rank.age_key < segment.end ? &youngest : nullptr;
    }
    const std::uint64_t earliest = segment.end > use_clock ? 0 : use_clock - segment.end + 1;
    const auto it = tree.lower_bound(EvictionRank{earliest, 0}, Before());
    if (it == tree.end()) return nullptr;
    return use_clock - it->rank.age_key >= segment.begin ? &*it : nullptr;
}

std::uint32_t EvictionOrder::pop_least_valued(const KeepValues& values, std::uint64_t use_clock) {
    const Trees& trees = first_trees();
    const Entry* least = nullptr;
    double least_value = 0;
    for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
        if (trees[c].empty()) continue;
        for (const ValueSegment& segment : values.segments[c]) {
            const Entry* entry = least_of(trees[c], segment, use_clock);
            if (entry == nullptr) continue;
            const double value = values.of(c, use_clock - entry->rank.age_key);
            if (least == nullptr || value < least_value ||
                (value == least_value && Before()(*entry, *least))) {
                least = entry;
                least_value = value;
            }
        }
    }
    KVASIR_CHECK(least != nullptr, "an order with ids has a least valued one");
    const std::uint32_t id = least->id;
    erase(id);
    return id;
}

void EvictionOrder::check_invariants() const {
    for (std::size_t s = 0; s < trees_.size(); ++s) {
        std::uint32_t n_ids = 0;
        for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
            const Entry* previous = nullptr;
            for (const Entry& entry : trees_[s][c]) {
                KVASIR_CHECK(entry.retention_class == c &&
                                 entry.standing == Standing{static_cast<std::uint8_t>(s)},
                             "an id lies in its class's tree");
                KVASIR_CHECK(previous == nullptr || Before()(*previous, entry), "ids are in order");
                previous = &entry;
                ++n_ids;
            }
        }
        KVASIR_CHECK(n_ids == n_ids_[s], "the count of ids is right");
    }
    std::uint32_t n_linked = 0;
    for (const Entry& entry : entries_) n_linked += entry.is_linked() ? 1 : 0;
    KVASIR_CHECK(n_linked == size(), "every id in the order is in a tree");
}

}  // namespace kvasir
