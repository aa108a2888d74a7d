// PagePool: the states of the device's sealed pages, and nothing of what they hold.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cache/groups.hpp"
#include "config/base/types.hpp"

namespace kvasir {

/// A page holds this many consecutive tokens. Only full pages are sealed, shared and counted here.
constexpr std::uint32_t kTokensPerPage = 32;

enum class PageState : std::uint8_t { free, cached, leased };

class PagePool;

/// One counted reference to a page; the destructor gives it up. Move-only, empty when moved from.
/// Must not outlive its pool.
class PageLease {
public:
    PageLease() = default;
    PageLease(PageLease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), page_(other.page_) {}
    PageLease& operator=(PageLease&& other) noexcept {
        if (this != &other) {
            reset();
            pool_ = std::exchange(other.pool_, nullptr);
            page_ = other.page_;
        }
        return *this;
    }
    ~PageLease() { reset(); }

    explicit operator bool() const { return pool_ != nullptr; }
    PageId page() const { return page_; }  // REQUIRES: not empty
    void reset() noexcept;

private:
    friend class PagePool;
    PageLease(PagePool* pool, PageId page) : pool_(pool), page_(page) {}

    PagePool* pool_ = nullptr;
    PageId page_{};
};

/// Every page is in exactly one state.
///   Free: no content, no lease, on the free list once.
///   Leased: one or more leases, not evictable. Its content is kept after the last lease, or not.
///   Cached: kept content, no lease.
///
///             acquire               keep
///      Free ----------> Leased ----------------> Leased, kept
///       ^  <-----------   |   last lease goes     |      ^
///       |     last lease goes                     v      | lease
///       +--------------------------------------- Cached -+
///                          free
///
/// A page that is not free counts for one group, that of whoever acquired it or of what it was
/// assigned to since. Every member is O(1) and allocates nothing after construction. One thread
/// (the engine's).
class PagePool {
public:
    explicit PagePool(std::uint32_t n_pages, std::size_t n_groups = 1);
    ~PagePool();  // REQUIRES: no page is leased
    PagePool(const PagePool&) = delete;
    PagePool& operator=(const PagePool&) = delete;

    /// A free page, now leased and without content; empty when no page is free.
    std::optional<PageLease> acquire(GroupId group = {});
    /// The page counts for this group from now on. REQUIRES: leased.
    void assign(PageId page, GroupId group);
    /// One more lease. REQUIRES: cached or leased.
    PageLease lease(PageId page);
    /// The page becomes Cached instead of Free when its last lease goes. REQUIRES: leased.
    void keep(PageId page);
    /// Forgets the content. REQUIRES: cached.
    void free(PageId page);

    /// From now on every page that becomes free is noted: for who zeroes what is free.
    void note_freed();
    /// Those noted since the last call that are free now. The others' content is new meanwhile, or
    /// will be noted when they are free again.
    std::vector<PageId> take_freed();

    PageState state(PageId page) const;
    std::uint32_t n_leases(PageId page) const;
    std::uint32_t n_pages() const { return static_cast<std::uint32_t>(pages_.size()); }
    std::uint32_t n_free() const { return static_cast<std::uint32_t>(free_list_.size()); }
    std::uint32_t n_cached() const { return n_cached_; }
    std::uint32_t n_leased() const { return n_pages() - n_free() - n_cached_; }
    GroupId group(PageId page) const { return at(page).group; }  // REQUIRES: not free
    std::uint32_t n_cached(GroupId group) const { return counts_[to_index(group)].n_cached; }
    std::uint32_t n_leased(GroupId group) const { return counts_[to_index(group)].n_leased; }

    /// The paragraph above as code, O(pages); aborts where it does not hold.
    void check_invariants() const;

private:
    friend class PageLease;
    void release(PageId page) noexcept;

    struct Page {
        std::uint32_t n_leases = 0;
        bool kept = false;
        bool noted = false;
        GroupId group{};
    };
    struct Counts {
        std::uint32_t n_leased = 0;
        std::uint32_t n_cached = 0;
    };
    Counts& counts(const Page& page) { return counts_[to_index(page.group)]; }
    void make_free(PageId page) noexcept;
    const Page& at(PageId page) const;

    std::vector<Page> pages_;
    std::vector<PageId> free_list_;  // last in, first out: recently used memory is warm
    std::uint32_t n_cached_ = 0;
    std::vector<Counts> counts_;  // by group
    bool notes_freed_ = false;
    std::vector<PageId> freed_;  // noted; capacity for all pages
};

inline void PageLease::reset() noexcept {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->release(page_);
}

}  // namespace kvasir
