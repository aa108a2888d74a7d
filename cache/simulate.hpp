// Runs a trace against the cache, or against one that knows the future: what a retention policy is
// worth.
#pragma once

#include <cstdint>
#include <span>

#include "cache/retention.hpp"
#include "cache/trace.hpp"

namespace kvasir {

struct SimulationResult {
    std::uint64_t n_pages_asked = 0;
    std::uint64_t n_pages_found = 0;  // at the start of a request, without a gap
    double hit_rate() const {
        return n_pages_asked == 0
                   ? 0
                   : static_cast<double>(n_pages_found) / static_cast<double>(n_pages_asked);
    }
};

/// The requests one after the other through a KvCache of n_pages: the daemon's own code, its
/// reservations included. Of a request larger than the cache the first n_pages pages are run.
SimulationResult simulate(std::span<const TraceRequest> trace, std::uint32_t n_pages,
                          RetentionPolicy policy);

/// The bound: after each request the pages that are asked for again last, or never, go. Pages of a
/// request need no place while it runs, so this is a little more than any cache could do. Source:
/// L. Belady, "A study of replacement algorithms for a virtual-storage computer", 1966.
SimulationResult simulate_clairvoyant(std::span<const TraceRequest> trace, std::uint32_t n_pages);

}  // namespace kvasir
