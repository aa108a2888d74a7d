// What domains mean for admission: whose pages a request's are, how many its domain may have, and
// whom it may overtake.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>

#include "cache/kv_cache.hpp"
#include "daemon/engine/engine.hpp"

namespace kvasir {

/// For what its pages count: an administrator's prefix is common, a salted request its owner's.
inline DomainId accounted_domain(const GenerationRequest& request) {
    return request.prefix && request.is_administrator ? kCommonDomain : DomainId{request.domain};
}

/// Whole pages of what is reserved and allowed in bytes. Errors: invalid_argument (a cap below one
/// page; more reserved than there is), naming domain and figures.
Result<std::map<DomainId, GroupLimits>> page_limits(std::span<const EngineOptions::Domain> domains,
                                                    std::uint32_t n_pages,
                                                    std::uint64_t page_bytes);

/// Of one pass over the queue: once a request waits for pages, later ones of its group wait behind
/// it, and others begin only where that keeps it waiting no longer: within their own reserve, or
/// where it waits for its own cap.
class Overtaking {
public:
    explicit Overtaking(const KvCache& cache) : cache_(cache) {}
    bool is_waiting(GroupId group) const { return waiting_.contains(group); }
    bool allows(GroupId group, std::uint32_t n_pages) const {
        return !is_waiting(group) && (!is_short_ || cache_.is_within_reserve(group, n_pages));
    }
    void wait(GroupId group, std::uint32_t n_pages) {
        waiting_.insert(group);
        is_short_ = is_short_ || !cache_.is_beyond_cap(group, n_pages);
    }

private:
    const KvCache& cache_;
    std::set<GroupId> waiting_;
    bool is_short_ = false;  // somebody waits for pages that anybody could take
};

}  // namespace kvasir
