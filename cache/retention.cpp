#include "cache/retention.hpp"

#include "config/base/check.hpp"

namespace kvasir {

EvictionRank eviction_rank(RetentionPolicy policy, const PageFacts& facts) {
    // Of pages used at one moment the deepest goes first: it serves the fewest continuations.
    const std::uint64_t shallowness = ~static_cast<std::uint64_t>(facts.depth);
    switch (policy) {
        case RetentionPolicy::lru: return {facts.last_use_tick, shallowness};
        case RetentionPolicy::fifo: return {facts.entered_tick, shallowness};
    }
    KVASIR_CHECK(false, "every retention policy has a rank");
}

EvictionQueue::EvictionQueue(std::uint32_t max_ids) : places_(max_ids, kAbsent) {
    heap_.reserve(max_ids);
}

void EvictionQueue::insert(std::uint32_t id, EvictionRank rank) {
    KVASIR_CHECK(!contains(id), "an id is queued once");
    heap_.push_back({.rank = rank, .id = id});  // within the reserved capacity: does not allocate
    places_[id] = size() - 1;
    sift_up(size() - 1);
}

void EvictionQueue::erase(std::uint32_t id) {
    KVASIR_CHECK(contains(id), "only a queued id can be taken out");
    const std::uint32_t place = places_[id];
    const Entry last = heap_.back();
    heap_.pop_back();
    places_[id] = kAbsent;
    if (last.id == id) return;
    put(place, last);
    sift_up(place);
    sift_down(places_[last.id]);
}

std::uint32_t EvictionQueue::pop() {
    KVASIR_CHECK(!empty(), "an empty queue has no first");
    const std::uint32_t id = heap_.front().id;
    erase(id);
    return id;
}

void EvictionQueue::put(std::uint32_t place, Entry entry) {
    heap_[place] = entry;
    places_[entry.id] = place;
}

void EvictionQueue::sift_up(std::uint32_t place) {
    const Entry entry = heap_[place];
    while (place > 0) {
        const std::uint32_t above = (place - 1) / 2;
        if (heap_[above] < entry) break;
        put(place, heap_[above]);
        place = above;
    }
    put(place, entry);
}

void EvictionQueue::sift_down(std::uint32_t place) {
    const Entry entry = heap_[place];
    while (true) {
        std::uint32_t below = 2 * place + 1;
        if (below >= size()) break;
        if (below + 1 < size() && heap_[below + 1] < heap_[below]) ++below;
        if (entry < heap_[below]) break;
        put(place, heap_[below]);
        place = below;
    }
    put(place, entry);
}

void EvictionQueue::check_invariants() const {
    for (std::uint32_t i = 0; i < size(); ++i) {
        KVASIR_CHECK(places_[heap_[i].id] == i, "an id's place is where it lies");
        KVASIR_CHECK(i == 0 || heap_[(i - 1) / 2] < heap_[i], "no entry lies above a smaller one");
    }
    std::uint32_t n_queued = 0;
    for (const std::uint32_t place : places_)
        if (place != kAbsent) ++n_queued;
    KVASIR_CHECK(n_queued == size(), "an id is in the queue at most once");
}

}  // namespace kvasir
