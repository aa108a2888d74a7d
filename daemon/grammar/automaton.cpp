#include "daemon/grammar/automaton.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxDfaStates = 50'000;

Error too_complex() {
    return {ErrorCode::too_large,
            "the constraint is too complex: its automaton has too many states"};
}

}  // namespace

Result<> Budget::spend(std::uint64_t n) {
    if (n > left) return too_complex();
    left -= n;
    return {};
}

SymbolSet::SymbolSet(std::initializer_list<SymbolRange> ranges)
    : SymbolSet(std::vector<SymbolRange>(ranges)) {}

SymbolSet::SymbolSet(std::vector<SymbolRange> ranges) : ranges_(std::move(ranges)) {
    std::erase_if(ranges_, [](const SymbolRange& r) { return r.low > r.high; });
    std::sort(ranges_.begin(), ranges_.end(),
              [](const SymbolRange& a, const SymbolRange& b) { return a.low < b.low; });
    std::vector<SymbolRange> merged;
    for (const SymbolRange& range : ranges_) {
        if (!merged.empty() && range.low <= merged.back().high + 1) {
            merged.back().high = std::max(merged.back().high, range.high);
        } else {
            merged.push_back(range);
        }
    }
    ranges_ = std::move(merged);
}

SymbolSet SymbolSet::of(std::string_view ascii) {
    std::vector<SymbolRange> ranges;
    for (const char c : ascii) {
        const auto symbol = static_cast<unsigned char>(c);
        ranges.push_back({symbol, symbol});
    }
    return SymbolSet(std::move(ranges));
}

void SymbolSet::add(SymbolRange range) {
    std::vector<SymbolRange> ranges = std::move(ranges_);
    ranges.push_back(range);
    *this = SymbolSet(std::move(ranges));
}

SymbolSet SymbolSet::complement(std::uint32_t highest) const {
    std::vector<SymbolRange> rest;
    std::uint32_t next = 0;
    for (const SymbolRange& range : ranges_) {
        if (range.low > next) rest.push_back({next, range.low - 1});
        next = range.high + 1;
    }
    if (next <= highest) rest.push_back({next, highest});
    return SymbolSet(std::move(rest));
}

SymbolSet SymbolSet::intersection(const SymbolSet& other) const {
    std::vector<SymbolRange> both;
    for (const SymbolRange& a : ranges_) {
        for (const SymbolRange& b : other.ranges_) {
            const SymbolRange range{std::max(a.low, b.low), std::min(a.high, b.high)};
            if (range.low <= range.high) both.push_back(range);
        }
    }
    return SymbolSet(std::move(both));
}

bool SymbolSet::contains(std::uint32_t symbol) const {
    return std::ranges::any_of(
        ranges_, [symbol](const SymbolRange& r) { return r.low <= symbol && symbol <= r.high; });
}

std::optional<std::uint32_t> Dfa::step(std::uint32_t state, std::uint32_t symbol) const {
    const std::vector<Edge>& edges = states[state].edges;
    const auto edge = std::partition_point(edges.begin(), edges.end(),
                                           [symbol](const Edge& e) { return e.high < symbol; });
    if (edge == edges.end() || edge->low > symbol) return std::nullopt;
    return edge->target;
}

bool Dfa::accepts(std::span<const std::uint32_t> symbols) const {
    std::uint32_t state = 0;
    for (const std::uint32_t symbol : symbols) {
        const auto next = step(state, symbol);
        if (!next) return false;
        state = *next;
    }
    return states[state].accepts;
}

Dfa trim(Dfa dfa) {
    const std::size_t n = dfa.states.size();
    std::vector<std::vector<std::uint32_t>> sources(n);
    for (std::uint32_t i = 0; i < n; ++i) {
        for (const Dfa::Edge& edge : dfa.states[i].edges) sources[edge.target].push_back(i);
    }
    std::vector<char> is_live(n, 0);
    std::vector<std::uint32_t> work;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (dfa.states[i].accepts) work.push_back(i);
    }
    while (!work.empty()) {
        const std::uint32_t state = work.back();
        work.pop_back();
        if (is_live[state] != 0) continue;
        is_live[state] = 1;
        work.insert(work.end(), sources[state].begin(), sources[state].end());
    }
    std::vector<std::uint32_t> index(n, 0);
    std::uint32_t n_kept = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
        if (i == 0 || is_live[i] != 0) index[i] = n_kept++;
    }
    Dfa kept;
    kept.states.resize(n_kept);
    for (std::uint32_t i = 0; i < n; ++i) {
        if (i != 0 && is_live[i] == 0) continue;
        Dfa::State& state = kept.states[index[i]];
        state.accepts = dfa.states[i].accepts;
        for (const Dfa::Edge& edge : dfa.states[i].edges) {
            if (is_live[edge.target] == 0) continue;
            const std::uint32_t target = index[edge.target];
            if (!state.edges.empty() && state.edges.back().target == target &&
                state.edges.back().high + 1 == edge.low) {
                state.edges.back().high = edge.high;
            } else {
                state.edges.push_back({edge.low, edge.high, target});
            }
        }
    }
    return kept;
}

Result<Dfa> intersect(const Dfa& a, const Dfa& b, Budget& budget) {
    Dfa both;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> index{{{0, 0}, 0}};
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs{{0, 0}};
    for (std::uint32_t i = 0; i < pairs.size(); ++i) {
        const auto [in_a, in_b] = pairs[i];
        const Dfa::State& state_a = a.states[in_a];
        const Dfa::State& state_b = b.states[in_b];
        both.states[i].accepts = state_a.accepts && state_b.accepts;
        KVASIR_TRY_VOID(budget.spend(1 + state_a.edges.size() + state_b.edges.size()));
        auto edge_a = state_a.edges.begin();
        auto edge_b = state_b.edges.begin();
        while (edge_a != state_a.edges.end() && edge_b != state_b.edges.end()) {
            const std::uint32_t low = std::max(edge_a->low, edge_b->low);
            const std::uint32_t high = std::min(edge_a->high, edge_b->high);
            if (low <= high) {
                const std::pair target{edge_a->target, edge_b->target};
                const auto [found, is_new] =
                    index.emplace(target, static_cast<std::uint32_t>(pairs.size()));
                if (is_new) {
                    if (pairs.size() == kMaxDfaStates) return too_complex();
                    pairs.push_back(target);
                    both.states.emplace_back();
                }
                both.states[i].edges.push_back({low, high, found->second});
            }
            if (edge_a->high < edge_b->high) {
                ++edge_a;
            } else {
                ++edge_b;
            }
        }
    }
    return trim(std::move(both));
}

Result<Dfa> complement(const Dfa& dfa, std::uint32_t highest, Budget& budget) {
    Dfa other;
    const auto n = static_cast<std::uint32_t>(dfa.states.size());
    other.states.resize(n + 1U);
    other.states[n] = {.edges = {{0, highest, n}}, .accepts = true};
    for (std::uint32_t i = 0; i < n; ++i) {
        KVASIR_TRY_VOID(budget.spend(1 + dfa.states[i].edges.size()));
        Dfa::State& state = other.states[i];
        state.accepts = !dfa.states[i].accepts;
        std::uint32_t next = 0;
        for (const Dfa::Edge& edge : dfa.states[i].edges) {
            if (edge.low > next) state.edges.push_back({next, edge.low - 1, n});
            state.edges.push_back(edge);
            next = edge.high + 1;
        }
        if (next <= highest) state.edges.push_back({next, highest, n});
    }
    return trim(std::move(other));
}

Result<Dfa> of_length(std::uint64_t low, std::optional<std::uint64_t> high, std::uint32_t highest,
                      Budget& budget) {
    const std::uint64_t n = high.value_or(low);
    if (n >= kMaxDfaStates) return too_complex();
    KVASIR_TRY_VOID(budget.spend(n));
    Dfa dfa;
    dfa.states.resize(n + 1);
    for (std::uint64_t i = 0; i <= n; ++i) {
        dfa.states[i].accepts = i >= low;
        const std::uint64_t next = i < n ? i + 1 : i;
        if (i < n || !high)
            dfa.states[i].edges.push_back({0, highest, static_cast<std::uint32_t>(next)});
    }
    return trim(std::move(dfa));
}

}  // namespace kvasir::grammar
