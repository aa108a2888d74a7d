#include "cache/page_pool.hpp"

#include <limits>

#include "config/base/check.hpp"

namespace kvasir {

PagePool::PagePool(std::uint32_t n_pages, std::size_t n_groups)
    : pages_(n_pages), counts_(n_groups) {
    free_list_.reserve(n_pages);
    for (std::uint32_t i = n_pages; i > 0; --i) free_list_.push_back(PageId{i - 1});
}

PagePool::~PagePool() {
    KVASIR_CHECK(n_leased() == 0, "a page lease outlives its pool");
}

std::optional<PageLease> PagePool::acquire(GroupId group) {
    KVASIR_CHECK(to_index(group) < counts_.size(), "a page is acquired for a group there is");
    if (free_list_.empty()) return std::nullopt;
    const PageId page = free_list_.back();
    free_list_.pop_back();
    Page& entry = pages_[to_index(page)];
    entry.n_leases = 1;
    entry.kept = false;
    entry.group = group;
    ++counts(entry).n_leased;
    return PageLease(this, page);
}

PageLease PagePool::lease(PageId page) {
    KVASIR_CHECK(state(page) != PageState::free, "a free page has nothing to lease");
    Page& entry = pages_[to_index(page)];
    KVASIR_CHECK(entry.n_leases < std::numeric_limits<std::uint32_t>::max(), "lease count is full");
    if (entry.n_leases++ == 0) {
        --n_cached_;
        --counts(entry).n_cached;
        ++counts(entry).n_leased;
    }
    return {this, page};
}

void PagePool::assign(PageId page, GroupId group) {
    KVASIR_CHECK(state(page) == PageState::leased && to_index(group) < counts_.size(),
                 "a leased page is assigned, to a group there is");
    Page& entry = pages_[to_index(page)];
    --counts(entry).n_leased;
    entry.group = group;
    ++counts(entry).n_leased;
}

void PagePool::keep(PageId page) {
    KVASIR_CHECK(state(page) == PageState::leased, "only a leased page can be kept");
    pages_[to_index(page)].kept = true;
}

void PagePool::free(PageId page) {
    KVASIR_CHECK(state(page) == PageState::cached, "only a cached page can be freed");
    Page& entry = pages_[to_index(page)];
    entry.kept = false;
    --n_cached_;
    --counts(entry).n_cached;
    make_free(page);
}

/// Within the reserved capacities: does not allocate.
void PagePool::make_free(PageId page) noexcept {
    free_list_.push_back(page);
    if (!notes_freed_ || std::exchange(pages_[to_index(page)].noted, true)) return;
    freed_.push_back(page);
}

void PagePool::note_freed() {
    notes_freed_ = true;
    freed_.reserve(pages_.size());
}

std::vector<PageId> PagePool::take_freed() {
    std::vector<PageId> free;
    for (const PageId page : freed_) {
        pages_[to_index(page)].noted = false;
        if (state(page) == PageState::free) free.push_back(page);
    }
    freed_.clear();
    return free;
}

void PagePool::release(PageId page) noexcept {
    Page& entry = pages_[to_index(page)];
    KVASIR_CHECK(entry.n_leases > 0, "a lease is released once");
    if (--entry.n_leases > 0) return;
    --counts(entry).n_leased;
    if (entry.kept) {
        ++n_cached_;
        ++counts(entry).n_cached;
    } else {
        make_free(page);
    }
}

const PagePool::Page& PagePool::at(PageId page) const {
    KVASIR_CHECK(to_index(page) < pages_.size(), "page id out of the pool");
    return pages_[to_index(page)];
}

PageState PagePool::state(PageId page) const {
    const Page& entry = at(page);
    if (entry.n_leases > 0) return PageState::leased;
    return entry.kept ? PageState::cached : PageState::free;
}

std::uint32_t PagePool::n_leases(PageId page) const {
    return at(page).n_leases;
}

void PagePool::check_invariants() const {
    std::vector<bool> listed(pages_.size());
    for (const PageId page : free_list_) {
        KVASIR_CHECK(state(page) == PageState::free, "a page on the free list is free");
        KVASIR_CHECK(!listed[to_index(page)], "a free page is on the free list once");
        listed[to_index(page)] = true;
    }
    std::uint32_t n_cached = 0;
    std::vector<Counts> counts(counts_.size());
    for (std::uint32_t i = 0; i < n_pages(); ++i) {
        const PageState page_state = state(PageId{i});
        KVASIR_CHECK((page_state == PageState::free) == listed[i], "every free page is listed");
        if (page_state == PageState::cached) ++n_cached;
        if (page_state == PageState::free) continue;
        Counts& group = counts[to_index(pages_[i].group)];
        ++(page_state == PageState::cached ? group.n_cached : group.n_leased);
    }
    for (std::size_t i = 0; i < counts.size(); ++i)
        KVASIR_CHECK(
            counts[i].n_cached == counts_[i].n_cached && counts[i].n_leased == counts_[i].n_leased,
            "every group's pages are counted");
    KVASIR_CHECK(n_cached == n_cached_, "the count of cached pages is right");
}

}  // namespace kvasir
