#include "cache/retention.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace kvasir {
namespace {

constexpr std::uint32_t kHitLevels = 5;
constexpr std::uint32_t kKnownLevels = 4;
constexpr std::uint32_t kTailClass = kHitLevels * kKnownLevels;
static_assert(kTailClass + 1 == kRetentionClasses);

// First guesses, as pages seen through a bucket: this much evidence weighs as much as the guess.
constexpr double kPriorPages = 8;
constexpr double kClassPriorPages = 50;

std::uint32_t hit_level(std::uint32_t n_hits) {
    if (n_hits < 3) return n_hits;
    return n_hits < 6 ? 3 : 4;
}

double bucket_width(std::uint32_t bucket) {
    return static_cast<double>(age_bucket_begin(bucket + 1) - age_bucket_begin(bucket));
}

using Curve = std::array<double, kAgeBuckets>;

/// Of one class or more: what was seen, and the chance of being asked for per unit of age that
/// follows.
struct Evidence {
    Curve n_asked_for{};
    Curve waiting{};

    void add(const Evidence& other) {
        for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
            n_asked_for[b] += other.n_asked_for[b];
            waiting[b] += other.waiting[b];
        }
    }
    Curve hazard(const Curve& guess, double guess_pages) const {
        Curve result{};
        for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
            const double guess_waiting = guess_pages * bucket_width(b);
            result[b] = (n_asked_for[b] + guess[b] * guess_waiting) / (waiting[b] + guess_waiting);
        }
        return result;
    }
};

/// The formula of the header's head, over T at bucket ends. The chance within a bucket is constant.
Curve keep_values(const Curve& hazard) {
    Curve survives{};
    Curve spends{};  // expected age spent inside the bucket, by a page that reaches it
    for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
        const double width = bucket_width(b);
        survives[b] = std::exp(-hazard[b] * width);
        spends[b] = hazard[b] * width > 1e-9 ? (1 - survives[b]) / hazard[b] : width;
    }
    Curve values{};
    for (std::uint32_t from = 0; from < kAgeBuckets; ++from) {
        double alive = 1;
        double spent = 0;
        for (std::uint32_t to = from; to < kAgeBuckets; ++to) {
            spent += alive * spends[to];
            alive *= survives[to];
            values[from] = std::max(values[from], (1 - alive) / spent);
        }
    }
    return values;
}

std::vector<ValueSegment> segments_of(const Curve& values) {
    std::vector<ValueSegment> segments;
    for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
        const bool rising = b > 0 && values[b] > values[b - 1];
        const std::uint64_t end = b + 1 < kAgeBuckets ? age_bucket_begin(b + 1)
                                                      : std::numeric_limits<std::uint64_t>::max();
        if (segments.empty() || segments.back().rising != rising)
            segments.push_back({.begin = age_bucket_begin(b), .end = end, .rising = rising});
        segments.back().end = end;
    }
    return segments;
}

}  // namespace

std::uint32_t retention_class(const PageFacts& facts) {
    if (facts.depth + 1 >= facts.last_n_pages) return kTailClass;
    const std::uint64_t quarters =
        std::uint64_t{facts.last_n_known} * kKnownLevels / std::max(facts.last_n_pages, 1U);
    return hit_level(facts.n_hits) * kKnownLevels +
           static_cast<std::uint32_t>(std::min<std::uint64_t>(quarters, kKnownLevels - 1));
}

std::uint32_t age_bucket(std::uint64_t age) {
    if (age < 16) return 0;
    const auto octave = static_cast<std::uint32_t>(std::bit_width(age)) - 1;
    const auto upper_half = static_cast<std::uint32_t>((age >> (octave - 1)) & 1);
    return std::min(1 + 2 * (octave - 4) + upper_half, kAgeBuckets - 1);
}

std::uint64_t age_bucket_begin(std::uint32_t bucket) {
    if (bucket == 0) return 0;
    const std::uint32_t octave = 4 + (bucket - 1) / 2;
    return (std::uint64_t{2} + (bucket - 1) % 2) << (octave - 1);
}

void ReuseStatistics::add(std::uint32_t retention_class, std::uint64_t age, bool asked_for) {
    const std::uint32_t bucket = age_bucket(age);
    Cell& cell = cells_[retention_class][bucket];
    cell.n_ended += 1;
    cell.n_asked_for += asked_for ? 1 : 0;
    cell.age_inside += static_cast<double>(age - age_bucket_begin(bucket));
}

void ReuseStatistics::forget_half() {
    for (auto& row : cells_) {
        for (Cell& cell : row) {
            cell.n_ended /= 2;
            cell.n_asked_for /= 2;
            cell.age_inside /= 2;
        }
    }
}

std::array<double, kAgeBuckets> ReuseStatistics::waiting(std::uint32_t retention_class) const {
    std::array<double, kAgeBuckets> result{};
    double n_passed = 0;  // waits that went on beyond the bucket
    for (std::uint32_t b = kAgeBuckets; b-- > 0;) {
        const Cell& cell = cells_[retention_class][b];
        result[b] = cell.age_inside + n_passed * bucket_width(b);
        n_passed += cell.n_ended;
    }
    return result;
}

KeepValues make_keep_values(const ReuseStatistics& statistics, std::uint32_t n_pages) {
    std::array<Evidence, kRetentionClasses> of_class;
    Evidence of_all;
    for (std::uint32_t c = 0; c < kRetentionClasses; ++c) {
        for (std::uint32_t b = 0; b < kAgeBuckets; ++b)
            of_class[c].n_asked_for[b] = statistics.n_asked_for(c, b);
        of_class[c].waiting = statistics.waiting(c);
        of_all.add(of_class[c]);
    }
    Curve guess{};  // ever less likely with age: lru
    for (std::uint32_t b = 0; b < kAgeBuckets; ++b) {
        const double middle = static_cast<double>(age_bucket_begin(b)) + bucket_width(b) / 2;
        guess[b] = 1 / (middle + n_pages);
    }
    guess = of_all.hazard(guess, kPriorPages);

    KeepValues result;
    for (std::uint32_t level = 0; level <= kHitLevels; ++level) {  // the last one is the tails'
        const bool tails = level == kHitLevels;
        const std::uint32_t first = level * kKnownLevels;
        const std::uint32_t last = tails ? first + 1 : first + kKnownLevels;
        Evidence of_level;
        for (std::uint32_t c = first; c < last; ++c) of_level.add(of_class[c]);
        const Curve level_guess = of_level.hazard(guess, kClassPriorPages);
        for (std::uint32_t c = first; c < last; ++c) {
            result.values[c] = keep_values(of_class[c].hazard(level_guess, kClassPriorPages));
            result.segments[c] = segments_of(result.values[c]);
        }
    }
    return result;
}

EvictionRank eviction_rank(RetentionPolicy policy, const PageFacts& facts) {
    const std::uint64_t shallowness = ~static_cast<std::uint64_t>(facts.depth);
    const bool by_entry = policy == RetentionPolicy::fifo;
    return {by_entry ? facts.entered : facts.last_use, shallowness};
}

}  // namespace kvasir
