// What goes next when pages are short: the policy as a pure function, and the queue that it orders.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

namespace kvasir {

enum class RetentionPolicy : std::uint8_t { lru, fifo };

/// All that a policy may know of a page. Ticks count uses of the cache, so they order what one
/// millisecond holds.
struct PageFacts {
    std::uint64_t entered_tick = 0;
    std::uint64_t last_use_tick = 0;
    std::uint64_t last_use_ms = 0;
    std::uint32_t depth = 0;   // pages before it in its sequence
    std::uint32_t n_hits = 0;  // sequences that found it in the cache
};

/// Smaller goes first.
struct EvictionRank {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    auto operator<=>(const EvictionRank&) const = default;
};

/// Depends on its arguments only. A page's rank is asked for when it becomes an evictable leaf.
EvictionRank eviction_rank(RetentionPolicy policy, const PageFacts& facts);

/// A binary heap of ids, smallest rank first, from which any id can be taken out again.
/// Every id is in the queue at most once. Equal ranks leave in the order of their ids.
/// insert, erase, pop: O(log n), and they allocate nothing after construction.
class EvictionQueue {
public:
    explicit EvictionQueue(std::uint32_t max_ids);  // ids are below max_ids

    void insert(std::uint32_t id, EvictionRank rank);  // REQUIRES: not contains(id)
    void erase(std::uint32_t id);                      // REQUIRES: contains(id)
    std::uint32_t pop();                               // REQUIRES: not empty

    bool contains(std::uint32_t id) const { return places_[id] != kAbsent; }
    bool empty() const { return heap_.empty(); }
    std::uint32_t size() const { return static_cast<std::uint32_t>(heap_.size()); }

    /// The paragraph above as code, O(n); aborts where it does not hold.
    void check_invariants() const;

private:
    static constexpr std::uint32_t kAbsent = 0xffffffffU;
    struct Entry {
        EvictionRank rank;
        std::uint32_t id = 0;
        auto operator<=>(const Entry&) const = default;
    };
    void put(std::uint32_t place, Entry entry);
    void sift_up(std::uint32_t place);
    void sift_down(std::uint32_t place);

    std::vector<Entry> heap_;
    std::vector<std::uint32_t> places_;  // (max_ids): an id's place in the heap
};

}  // namespace kvasir
