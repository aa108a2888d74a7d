#include "cache/simulate.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "cache/kv_cache.hpp"
#include "config/base/check.hpp"

namespace kvasir {
namespace {

/// Ids turned into tokens that differ exactly where the ids do.
std::vector<TokenId> tokens_of(std::span<const std::uint64_t> pages) {
    std::vector<TokenId> tokens(pages.size() * kTokensPerPage);
    for (std::size_t i = 0; i < pages.size(); ++i) {
        tokens[i * kTokensPerPage] = static_cast<TokenId>(pages[i]);
        tokens[i * kTokensPerPage + 1] = static_cast<TokenId>(pages[i] >> 32);
    }
    return tokens;
}

/// Paths numbered from 0: equal numbers are equal openings.
class PathNumbers {
public:
    using Number = std::uint32_t;
    Number number(Number parent, std::uint64_t page) {
        return numbers_.try_emplace({parent, page}, static_cast<Number>(numbers_.size()))
            .first->second;
    }
    static constexpr Number kStart = std::numeric_limits<Number>::max();

private:
    std::map<std::pair<Number, std::uint64_t>, Number> numbers_;
};

}  // namespace

SimulationResult simulate(std::span<const TraceRequest> trace, std::uint32_t n_pages,
                          RetentionPolicy policy) {
    KvCache cache({.n_pages = n_pages, .retention = policy});
    SimulationResult result;
    for (const TraceRequest& request : trace) {
        result.n_pages_asked += request.pages.size();
        const std::size_t n_run = std::min<std::size_t>(request.pages.size(), n_pages);
        if (n_run == 0) continue;
        std::vector<TokenId> tokens = tokens_of(std::span(request.pages).first(n_run));
        tokens.push_back(0);  // the last query's page is not reused; so it is none of these
        const auto n_tokens = static_cast<std::uint32_t>(tokens.size());
        auto sequence = cache.begin(DomainId{0}, tokens, n_tokens, request.timestamp_ms);
        KVASIR_CHECK(sequence.has_value(), "alone, a sequence that fits the pool is admitted");
        const std::uint32_t n_cached = sequence->n_cached_tokens();
        result.n_pages_found += n_cached / kTokensPerPage;
        sequence->ensure_page(static_cast<std::uint32_t>(n_run) - 1);
        sequence->append(std::span(tokens).subspan(n_cached));
        sequence->release(request.timestamp_ms);
    }
    return result;
}

SimulationResult simulate_clairvoyant(std::span<const TraceRequest> trace, std::uint32_t n_pages) {
    // Backwards: when each request's paths are asked for next.
    PathNumbers numbers;
    std::vector<std::vector<std::uint32_t>> paths(trace.size());
    std::uint32_t n_paths = 0;
    for (std::size_t i = 0; i < trace.size(); ++i) {
        std::uint32_t parent = PathNumbers::kStart;
        for (const std::uint64_t page : trace[i].pages) {
            parent = numbers.number(parent, page);
            paths[i].push_back(parent);
            n_paths = std::max(n_paths, parent + 1);
        }
    }
    constexpr std::size_t never = std::numeric_limits<std::size_t>::max();
    std::vector<std::size_t> next_use(n_paths, never);
    std::vector<std::vector<std::size_t>> next_uses(trace.size());
    for (std::size_t i = trace.size(); i-- > 0;) {
        for (const std::uint32_t path : paths[i]) {
            next_uses[i].push_back(next_use[path]);
        }
        for (const std::uint32_t path : paths[i]) next_use[path] = i;
    }

    // A page is never asked for before the pages above it, so whoever is asked for last is a leaf:
    // of equals the deepest, which has the greatest number.
    SimulationResult result;
    std::set<std::pair<std::size_t, std::uint32_t>> kept;  // next use, path
    for (std::size_t i = 0; i < trace.size(); ++i) {
        result.n_pages_asked += paths[i].size();
        bool matching = true;
        for (std::size_t j = 0; j < paths[i].size(); ++j) {
            const bool found = kept.erase({i, paths[i][j]}) == 1;
            matching = matching && found;
            if (matching) ++result.n_pages_found;
            kept.insert({next_uses[i][j], paths[i][j]});
        }
        while (kept.size() > n_pages) kept.erase(std::prev(kept.end()));
    }
    return result;
}

}  // namespace kvasir
