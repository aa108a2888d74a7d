#include "daemon/engine/domain_pages.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace kvasir {

Result<std::map<DomainId, GroupLimits>> page_limits(std::span<const EngineOptions::Domain> domains,
                                                    std::uint32_t n_pages,
                                                    std::uint64_t page_bytes) {
    std::map<DomainId, GroupLimits> limits;
    std::uint64_t n_kept = 0;
    for (const EngineOptions::Domain& domain : domains) {
        const std::uint64_t reserve = domain.reserve_bytes / page_bytes;
        const std::uint64_t cap = domain.cap_bytes / page_bytes;
        if (domain.cap_bytes > 0 && cap == 0) {
            return Error{
                ErrorCode::invalid_argument,
                fmt::format("domain \"{}\": cap of {} bytes, expected at least a page's {}",
                            domain.name, domain.cap_bytes, page_bytes)};
        }
        if (reserve > n_pages - n_kept) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("domain \"{}\": reserve of {} pages, expected at most {}: the "
                                     "device has {}, {} are others' reserves",
                                     domain.name, reserve, n_pages - n_kept, n_pages, n_kept)};
        }
        n_kept += reserve;
        limits[domain.id] = {.reserve = static_cast<std::uint32_t>(reserve),
                             .cap = domain.cap_bytes > 0 && cap < n_pages
                                        ? static_cast<std::uint32_t>(cap)
                                        : kNoCap};
    }
    return limits;
}

/// In the order of the cache's groups, which is that of the domains' numbers.
void Engine::name_groups() {
    group_names_.assign(kFirstListedGroup + options_.domains.size(), "unlisted");
    group_names_[to_index(kCommonGroup)] = "common";
    for (const EngineOptions::Domain& domain : options_.domains)
        group_names_[to_index(cache_->group_of(domain.id))] = domain.name;
    for (const std::string& name : group_names_) counters_.domains.push_back({name, 0});
}

}  // namespace kvasir
