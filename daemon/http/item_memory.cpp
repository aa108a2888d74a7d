#include "daemon/http/item_memory.hpp"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "config/base/wipe.hpp"

namespace kvasir {

std::size_t ItemMemory::size_of(const Entry& entry) {
    constexpr std::size_t kAround = 256;  // nodes of the list and the maps
    return kAround + entry.owner.session.size() + entry.owner.context.size() + 2 * entry.id.size() +
           entry.item.size();
}

ItemMemory::Entries::iterator ItemMemory::drop(Entries::iterator entry) {
    const std::size_t size = size_of(*entry);
    bytes_ -= size;
    const auto domain = domain_bytes_.find(entry->owner.domain);
    domain->second -= size;
    if (domain->second == 0) domain_bytes_.erase(domain);
    by_id_.erase(entry->id);
    wipe(std::span<char>(entry->item));
    return entries_.erase(entry);
}

void ItemMemory::drop_expired() {
    const Clock::time_point now = Clock::now();
    while (!entries_.empty() && entries_.front().until <= now) drop(entries_.begin());
}

void ItemMemory::drop_one_of_the_largest() {
    const auto largest = std::ranges::max_element(domain_bytes_, {},
                                                  [](const auto& domain) { return domain.second; });
    drop(std::ranges::find_if(
        entries_, [&](const Entry& entry) { return entry.owner.domain == largest->first; }));
}

void ItemMemory::remember(const Owner& owner, std::string id, std::string item) {
    Entry entry{owner, std::move(id), std::move(item), Clock::now() + limits_.time_to_live};
    const std::size_t size = size_of(entry);
    const std::lock_guard lock(mutex_);
    drop_expired();
    if (size > limits_.bytes || by_id_.contains(entry.id)) return;
    domain_bytes_[owner.domain] += size;
    bytes_ += size;
    entries_.push_back(std::move(entry));
    by_id_.emplace(entries_.back().id, std::prev(entries_.end()));
    while (bytes_ > limits_.bytes) drop_one_of_the_largest();
}

std::optional<std::string> ItemMemory::find(std::uint32_t domain, std::string_view id) {
    const std::lock_guard lock(mutex_);
    drop_expired();
    const auto found = by_id_.find(id);
    if (found == by_id_.end() || found->second->owner.domain != domain) return std::nullopt;
    return found->second->item;
}

void ItemMemory::forget(std::uint32_t domain, std::string Owner::*name, std::string_view ended) {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const Owner& owner = entry->owner;
        const bool is_meant = owner.domain == domain && owner.*name == ended && !ended.empty();
        entry = is_meant ? drop(entry) : std::next(entry);
    }
}

void ItemMemory::forget_session(std::uint32_t domain, std::string_view session) {
    forget(domain, &Owner::session, session);
}

void ItemMemory::forget_context(std::uint32_t domain, std::string_view context) {
    forget(domain, &Owner::context, context);
}

std::size_t ItemMemory::bytes_held() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

}  // namespace kvasir
