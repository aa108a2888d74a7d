#include "cache/eviction_order.hpp"

#include <iterator>

#include "config/base/check.hpp"

namespace kvasir {

EvictionOrder::EvictionOrder(std::uint32_t max_ids, std::size_t n_groups)
    : entries_(max_ids), groups_(n_groups) {
    for (std::uint32_t id = 0; id < max_ids; ++id) entries_[id].id = id;
}

EvictionOrder::~EvictionOrder() {
    for (Group& group : groups_)
        for (Trees& trees : group.trees)
            for (Tree& tree : trees) tree.clear();
}

void EvictionOrder::insert(std::uint32_t id, EvictionRank rank, std::uint32_t retention_class,
                           Standing standing, GroupId group) {
    KVASIR_CHECK(id < entries_.size() && !contains(id), "an id is in the order once");
    Entry& entry = entries_[id];
    entry.rank = rank;
    entry.retention_class = static_cast<std::uint8_t>(retention_class);
    entry.standing = standing;
    entry.group = group;
    const auto s = static_cast<std::size_t>(standing);
    Group& in = groups_[to_index(group)];
    in.trees[s][retention_class].insert(entry);
    ++in.n_ids[s];
    ++size_;
}

void EvictionOrder::erase(std::uint32_t id) {
    KVASIR_CHECK(id < entries_.size() && contains(id), "only what is in the order is taken out");
    Entry& entry = entries_[id];
    const auto s = static_cast<std::size_t>(entry.standing);
    Group& group = groups_[to_index(entry.group)];
    Tree& tree = group.trees[s][entry.retention_class];
    tree.erase(tree.iterator_to(entry));
    --group.n_ids[s];
    --size_;
}

bool EvictionOrder::Candidate::goes_before(const Candidate& other) const {
    if (standing != other.standing) return standing < other.standing;
    if (value != other.value) return value < other.value;
    return rank != other.rank ? rank < other.rank : id < other.id;
}

std::optional<EvictionOrder::Candidate> EvictionOrder::find_first(GroupId group) const {
    const Tree& tree = groups_[to_index(group)].first()[0];
    if (tree.empty()) return std::nullopt;
    const Entry& entry = *tree.begin();
    return Candidate{.id = entry.id, .standing = entry.standing, .value = 0, .rank = entry.rank};
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

std::optional<EvictionOrder::Candidate> EvictionOrder::find_least_valued(const KeepValues& values,
                                                                         std::uint64_t use_clock,
                                                                         GroupId group) const {
    if (groups_[to_index(group)].empty()) return std::nullopt;
    const Trees& trees = groups_[to_index(group)].first();
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
    KVASIR_CHECK(least != nullptr, "a group with ids has a least valued one");
    return Candidate{
        .id = least->id, .standing = least->standing, .value = least_value, .rank = least->rank};
}

std::uint32_t EvictionOrder::pop_first(GroupId group) {
    const auto first = find_first(group);
    KVASIR_CHECK(first.has_value(), "an empty group has no first");
    erase(first->id);
    return first->id;
}

std::uint32_t EvictionOrder::pop_least_valued(const KeepValues& values, std::uint64_t use_clock,
                                              GroupId group) {
    const auto least = find_least_valued(values, use_clock, group);
    KVASIR_CHECK(least.has_value(), "an empty group has no least valued one");
    erase(least->id);
    return least->id;
}

void EvictionOrder::check_invariants() const {
    std::uint32_t n_all = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        for (std::size_t s = 0; s < 2; ++s) {
            std::uint32_t n_ids = 0;
            for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
                const Entry* previous = nullptr;
                for (const Entry& entry : groups_[g].trees[s][c]) {
                    KVASIR_CHECK(entry.retention_class == c && to_index(entry.group) == g &&
                                     entry.standing == Standing{static_cast<std::uint8_t>(s)},
                                 "an id lies in its group's and class's tree");
                    KVASIR_CHECK(previous == nullptr || Before()(*previous, entry),
                                 "ids are in order");
                    previous = &entry;
                    ++n_ids;
                }
            }
            KVASIR_CHECK(n_ids == groups_[g].n_ids[s], "the count of ids is right");
            n_all += n_ids;
        }
    }
    std::uint32_t n_linked = 0;
    for (const Entry& entry : entries_) n_linked += entry.is_linked() ? 1 : 0;
    KVASIR_CHECK(n_linked == n_all && n_all == size_, "every id in the order is in a tree");
}

}  // namespace kvasir
