#include "cache/reuse_history.hpp"

#include <algorithm>
#include <bit>

#include "config/base/check.hpp"

namespace kvasir {
namespace {

constexpr std::uint64_t kHorizon = 16;     // in sizes of the cache
constexpr std::uint64_t kMinWaits = 4096;  // learning needs some examples however small the cache
constexpr std::uint64_t kMaxWaits = 1U << 18;  // 11 MB, where pages take gigabytes

std::uint64_t wanted_waits(std::uint32_t n_pages) {
    return std::max(kHorizon * n_pages, kMinWaits);
}

}  // namespace

ReuseHistory::ReuseHistory(std::uint32_t n_pages)
    : sample_mask_(std::bit_ceil((wanted_waits(n_pages) + kMaxWaits - 1) / kMaxWaits) - 1),
      entries_(std::min(wanted_waits(n_pages), kMaxWaits)),
      buckets_(std::bit_ceil(entries_.size()), kNone) {
    for (std::uint32_t i = static_cast<std::uint32_t>(entries_.size()); i-- > 0;) {
        entries_[i].next_in_bucket = unused_;
        unused_ = i;
    }
}

std::uint32_t ReuseHistory::find(PathHash path) const {
    std::uint32_t index = buckets_[bucket_of(path)];
    while (index != kNone && entries_[index].path != path) index = entries_[index].next_in_bucket;
    return index;
}

std::optional<ReuseHistory::Wait> ReuseHistory::end_wait(PathHash path, std::uint64_t use_clock) {
    const std::uint32_t index = find(path);
    if (index == kNone) return std::nullopt;
    const Entry& entry = entries_[index];
    learn(entry.retention_class, use_clock - std::min(entry.since, use_clock), true);
    const Wait wait{.n_hits = entry.n_hits};
    remove(index);
    return wait;
}

void ReuseHistory::begin_wait(PathHash path, std::uint32_t retention_class, std::uint32_t n_hits,
                              std::uint64_t use_clock) {
    if (!samples(path)) return;
    if (const std::uint32_t index = find(path); index != kNone) remove(index);
    if (unused_ == kNone) {
        const Entry& oldest = entries_[oldest_];
        learn(oldest.retention_class, use_clock - std::min(oldest.since, use_clock), false);
        remove(oldest_);
    }
    const std::uint32_t index = unused_;
    unused_ = entries_[index].next_in_bucket;
    std::uint32_t& bucket = buckets_[bucket_of(path)];
    entries_[index] = {.path = path,
                       .since = use_clock,
                       .n_hits = n_hits,
                       .retention_class = static_cast<std::uint8_t>(retention_class),
                       .in_use = true,
                       .next_in_bucket = bucket,
                       .older = newest_};
    bucket = index;
    (newest_ == kNone ? oldest_ : entries_[newest_].newer) = index;
    newest_ = index;
    ++n_waits_;
}

void ReuseHistory::forget(PathHash path) {
    if (const std::uint32_t index = find(path); index != kNone) remove(index);
}

void ReuseHistory::remove(std::uint32_t index) {
    Entry& entry = entries_[index];
    std::uint32_t* link = &buckets_[bucket_of(entry.path)];
    while (*link != index) link = &entries_[*link].next_in_bucket;
    *link = entry.next_in_bucket;
    (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
    (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
    entry = Entry{.next_in_bucket = unused_};
    unused_ = index;
    --n_waits_;
}

void ReuseHistory::learn(std::uint32_t retention_class, std::uint64_t age, bool asked_for) {
    // Every so many memories the past counts half, so that a change of habits shows.
    if (++n_learned_ >= 8 * entries_.size()) {
        ended_.forget_half();
        n_learned_ = 0;
    }
    ended_.add(retention_class, age, asked_for);
}

ReuseStatistics ReuseHistory::statistics(std::uint64_t use_clock) const {
    ReuseStatistics result = ended_;
    for (const Entry& entry :
         entries_) {  // in memory's order: several times faster than the list's
        if (!entry.in_use) continue;
        result.add(entry.retention_class, use_clock - std::min(entry.since, use_clock), false);
    }
    return result;
}

void ReuseHistory::check_invariants() const {
    std::uint32_t n_listed = 0;
    std::uint32_t older = kNone;
    for (std::uint32_t i = oldest_; i != kNone; older = i, i = entries_[i].newer, ++n_listed) {
        KVASIR_CHECK(find(entries_[i].path) == i, "a path is remembered once");
        KVASIR_CHECK(entries_[i].in_use, "what is listed is in use");
        KVASIR_CHECK(entries_[i].older == older, "the list of waits runs both ways");
        KVASIR_CHECK(older == kNone || entries_[older].since <= entries_[i].since,
                     "waits are listed in the order they began");
    }
    KVASIR_CHECK(newest_ == older && n_listed == n_waits_, "the count of waits is right");
    std::uint32_t n_unused = 0;
    for (std::uint32_t i = unused_; i != kNone; i = entries_[i].next_in_bucket) {
        KVASIR_CHECK(!entries_[i].in_use, "what is unused is not in use");
        ++n_unused;
    }
    KVASIR_CHECK(n_waits_ + n_unused == entries_.size(), "an entry is a wait or unused");
}

}  // namespace kvasir
