// ReuseHistory: a bounded memory of what was asked for, pages long evicted included, to learn from.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/retention.hpp"

namespace kvasir {

/// Names a page by its whole token path: a hash chained from the domain on. Holds no tokens.
using PathHash = std::uint64_t;

/// Remembers waits: a page that was let go at some use clock and has not been asked for since. To
/// stay small it remembers only paths whose hash falls into a sample (every path, while the cache
/// is small), and the most recent of these. What falls out has waited unasked until then.
///
/// Every path is remembered at most once. Waits are listed in the order they began.
/// Every member but statistics is O(1) expected; nothing allocates after construction.
class ReuseHistory {
public:
    /// Remembers about 16 times what n_pages hold: beyond, no cache of this size could profit.
    explicit ReuseHistory(std::uint32_t n_pages);

    bool samples(PathHash path) const { return (path & sample_mask_) == 0; }

    struct Wait {
        std::uint32_t n_hits = 0;
    };
    /// The page is asked for again: its wait, which ends and is learned from. Empty where none is
    /// remembered.
    std::optional<Wait> end_wait(PathHash path, std::uint64_t use_clock);
    /// The page is let go. A wait of the same path that still stood is replaced, unlearned.
    void begin_wait(PathHash path, std::uint32_t retention_class, std::uint32_t n_hits,
                    std::uint64_t use_clock);
    /// As if it had never been seen: the page's owner wants it forgotten.
    void forget(PathHash path);

    /// All ended waits, and those that stand at this moment. O(waits remembered).
    ReuseStatistics statistics(std::uint64_t use_clock) const;

    std::uint32_t n_waits() const { return n_waits_; }
    /// The paragraph above as code; aborts where it does not hold.
    void check_invariants() const;

private:
    static constexpr std::uint32_t kNone = 0xffffffffU;
    struct Entry {
        PathHash path = 0;
        std::uint64_t since = 0;  // use clock
        std::uint32_t n_hits = 0;
        std::uint8_t retention_class = 0;
        bool in_use = false;
        std::uint32_t next_in_bucket = kNone;  // also links the unused entries
        std::uint32_t older = kNone;
        std::uint32_t newer = kNone;
    };
    std::size_t bucket_of(PathHash path) const { return (path >> 20) & (buckets_.size() - 1); }
    std::uint32_t find(PathHash path) const;
    void remove(std::uint32_t index);
    void learn(std::uint32_t retention_class, std::uint64_t age, bool asked_for);

    std::uint64_t sample_mask_;
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> buckets_;
    std::uint32_t unused_ = kNone;
    std::uint32_t oldest_ = kNone;
    std::uint32_t newest_ = kNone;
    std::uint32_t n_waits_ = 0;
    ReuseStatistics ended_;
    std::uint32_t n_learned_ = 0;  // since ended_ was halved
};

}  // namespace kvasir
