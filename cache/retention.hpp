// What goes next when pages are short: pure functions from what is known of a page to what keeping
// it is worth.
//
// lru and fifo order pages by one number. kvasir asks what a page earns: of all pages like it
// (class) and as long unused (age), how many were asked for again, and how soon? Its keep value is
// the best rate that any holding time T promises,
//
//     value(class, age) = max over T of  P(asked for within T more) / E[pages of age spent until
//     then, at most T]
//
// which is the Gittins index of "hold on, or give the place to another". Where reuse only gets less
// likely with age this is lru within a class; where people take a minute to answer, it is not: a
// small cache then keeps some conversations long enough instead of all of them too briefly. Source:
// J. Gittins, "Bandit processes and dynamic allocation indices", 1979; ageing by counted uses and
// classes as in N. Beckmann and D. Sanchez, "Maximizing cache performance under uncertainty", HPCA
// 2017.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace kvasir {

enum class RetentionPolicy : std::uint8_t { kvasir, lru, fifo };

/// All that a policy may know of a page. The use clock counts pages asked for, found or not: age is
/// then what the cache has been asked for since, and an idle night costs nothing.
struct PageFacts {
    std::uint64_t entered = 0;      // use clock
    std::uint64_t last_use = 0;     // use clock
    std::uint64_t last_use_ms = 0;  // the caller's clock, for TTL
    std::uint32_t depth = 0;        // pages before it in its sequence
    std::uint32_t n_hits = 0;       // sequences that asked for it after it was first entered
    std::uint32_t last_n_known =
        0;  // of the sequence that used it last: leading pages asked for before,
    std::uint32_t last_n_pages = 0;  //   and all pages
};

/// What pages have in common that reuse depends on: how often it was asked for (0, 1, 2, 3 to 5,
/// more), times how much of its last sequence was known before (quarters: a conversation that goes
/// on, or a new one under a shared opening). The last page of a sequence is a class of its own:
/// often the text goes on differently.
constexpr std::uint32_t kRetentionClasses = 21;
std::uint32_t retention_class(const PageFacts& facts);

/// Ages in buckets: 0 to 15, then two an octave; the last one has no end.
constexpr std::uint32_t kAgeBuckets = 44;
std::uint32_t age_bucket(std::uint64_t age);
std::uint64_t age_bucket_begin(std::uint32_t bucket);

/// How long pages waited, and what ended it. Counts may be fractions after forget_half.
class ReuseStatistics {
public:
    /// A page of this class was unused for age; then it was asked for again, or it is still
    /// waiting.
    void add(std::uint32_t retention_class, std::uint64_t age, bool asked_for);
    /// Halves the weight of all that was seen, so that habits may change.
    void forget_half();

    double n_asked_for(std::uint32_t retention_class, std::uint32_t bucket) const {
        return cells_[retention_class][bucket].n_asked_for;
    }
    /// (kAgeBuckets): the age that pages of the class spent waiting inside each bucket, summed.
    std::array<double, kAgeBuckets> waiting(std::uint32_t retention_class) const;

private:
    struct Cell {
        double n_ended = 0;  // waits that ended, or stand, in this bucket
        double n_asked_for = 0;
        double age_inside = 0;  // of these, counted from the bucket's begin
    };
    std::array<std::array<Cell, kAgeBuckets>, kRetentionClasses> cells_{};
};

/// A run of age buckets over which the value moves one way, so that one look at its end finds the
/// least.
struct ValueSegment {
    std::uint64_t begin = 0;  // age
    std::uint64_t end = 0;    // age, exclusive
    bool rising = false;      // the youngest is worth least; else the oldest
};

struct KeepValues {
    std::array<std::array<double, kAgeBuckets>, kRetentionClasses> values{};
    std::array<std::vector<ValueSegment>, kRetentionClasses> segments;

    double of(std::uint32_t retention_class, std::uint64_t age) const {
        return values[retention_class][age_bucket(age)];
    }
};

/// Classes with little evidence lean on their neighbours, and without any the order is lru, pages
/// with hits last. n_pages scales that first guess. Cost: about 50,000 floating-point operations.
KeepValues make_keep_values(const ReuseStatistics& statistics, std::uint32_t n_pages);

/// The order within one class: smaller goes first under lru and fifo. kvasir picks from the middle
/// too.
struct EvictionRank {
    std::uint64_t age_key = 0;      // use clock
    std::uint64_t shallowness = 0;  // of pages used at one moment the deepest goes first
    bool operator==(const EvictionRank&) const = default;
    bool operator<(const EvictionRank& other) const {
        if (age_key != other.age_key) return age_key < other.age_key;
        return shallowness < other.shallowness;
    }
};
EvictionRank eviction_rank(RetentionPolicy policy, const PageFacts& facts);

}  // namespace kvasir
