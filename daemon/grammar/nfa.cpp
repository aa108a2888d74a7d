// Nfa: building, and the subset construction.
#include <algorithm>
#include <map>
#include <utility>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

std::uint32_t Nfa::add_state() {
    states_.emplace_back();
    return static_cast<std::uint32_t>(states_.size() - 1);
}

void Nfa::add_edge(std::uint32_t from, SymbolRange range, std::uint32_t to) {
    states_[from].edges.push_back({range, to});
}

void Nfa::add_empty(std::uint32_t from, std::uint32_t to) {
    states_[from].empty.push_back(to);
}

Fragment Nfa::nothing() {
    const std::uint32_t start = add_state();
    return {start, add_state()};
}

Fragment Nfa::empty() {
    const std::uint32_t state = add_state();
    return {state, state};
}

Fragment Nfa::one_of(const SymbolSet& set) {
    const Fragment one = nothing();
    for (const SymbolRange& range : set.ranges()) add_edge(one.start, range, one.end);
    return one;
}

Fragment Nfa::text(std::span<const std::uint32_t> symbols) {
    Fragment whole = empty();
    for (const std::uint32_t symbol : symbols) {
        const std::uint32_t next = add_state();
        add_edge(whole.end, {symbol, symbol}, next);
        whole.end = next;
    }
    return whole;
}

Fragment Nfa::ascii(std::string_view text) {
    Fragment whole = empty();
    for (const char c : text) {
        const auto symbol = static_cast<unsigned char>(c);
        const std::uint32_t next = add_state();
        add_edge(whole.end, {symbol, symbol}, next);
        whole.end = next;
    }
    return whole;
}

Fragment Nfa::sequence(Fragment first, Fragment second) {
    add_empty(first.end, second.start);
    return {first.start, second.end};
}

Fragment Nfa::either(Fragment first, Fragment second) {
    const Fragment whole = nothing();
    add_empty(whole.start, first.start);
    add_empty(whole.start, second.start);
    add_empty(first.end, whole.end);
    add_empty(second.end, whole.end);
    return whole;
}

Fragment Nfa::star(Fragment one) {
    const Fragment whole = nothing();
    add_empty(whole.start, one.start);
    add_empty(one.end, one.start);
    add_empty(whole.start, whole.end);
    add_empty(one.end, whole.end);
    return whole;
}

namespace {

using StateSet = std::vector<std::uint32_t>;  // ascending

class SubsetConstruction {
public:
    SubsetConstruction(const Nfa& nfa, std::uint32_t end, Budget& budget)
        : nfa_(nfa), end_(end), budget_(budget), mark_(nfa.size(), 0) {}

    Result<Dfa> run(std::uint32_t start) {
        StateSet first{start};
        KVASIR_TRY_VOID(close(first));
        dfa_.states.clear();
        index_of(std::move(first));
        for (std::uint32_t i = 0; i < sets_.size(); ++i) KVASIR_TRY_VOID(expand(i));
        return trim(std::move(dfa_));
    }

private:
    /// Adds what is reached without a symbol.
    Result<> close(StateSet& set) {
        ++round_;
        StateSet closed;
        while (!set.empty()) {
            const std::uint32_t state = set.back();
            set.pop_back();
            if (mark_[state] == round_) continue;
            mark_[state] = round_;
            closed.push_back(state);
            const auto& next = nfa_.state(state).empty;
            KVASIR_TRY_VOID(budget_.spend(1 + next.size()));
            set.insert(set.end(), next.begin(), next.end());
        }
        std::sort(closed.begin(), closed.end());
        set = std::move(closed);
        return {};
    }

    std::uint32_t index_of(StateSet set) {
        const auto [found, is_new] =
            index_.emplace(std::move(set), static_cast<std::uint32_t>(sets_.size()));
        if (is_new) {
            sets_.push_back(&found->first);
            dfa_.states.emplace_back().accepts =
                std::binary_search(found->first.begin(), found->first.end(), end_);
        }
        return found->second;
    }

    Result<> expand(std::uint32_t index) {
        std::vector<Nfa::Edge> edges;
        std::vector<std::uint32_t> cuts;  // where an interval begins
        for (const std::uint32_t state : *sets_[index]) {
            for (const Nfa::Edge& edge : nfa_.state(state).edges) {
                edges.push_back(edge);
                cuts.push_back(edge.range.low);
                cuts.push_back(edge.range.high + 1);
            }
        }
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        std::vector<StateSet> targets(cuts.size());  // of the interval from each cut to the next
        for (const Nfa::Edge& edge : edges) {
            auto i = static_cast<std::size_t>(
                std::lower_bound(cuts.begin(), cuts.end(), edge.range.low) - cuts.begin());
            for (; cuts[i] <= edge.range.high; ++i) targets[i].push_back(edge.target);
        }
        for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
            if (targets[i].empty()) continue;
            KVASIR_TRY_VOID(budget_.spend(1 + targets[i].size()));
            KVASIR_TRY_VOID(close(targets[i]));
            const std::uint32_t target = index_of(std::move(targets[i]));
            dfa_.states[index].edges.push_back({cuts[i], cuts[i + 1] - 1, target});
        }
        return {};
    }

    const Nfa& nfa_;
    const std::uint32_t end_;
    Budget& budget_;
    std::vector<std::uint32_t> mark_;  // the last round that reached the state
    std::uint32_t round_ = 0;
    Dfa dfa_;
    std::map<StateSet, std::uint32_t> index_;
    std::vector<const StateSet*> sets_;
};

}  // namespace

Result<Dfa> determinize(const Nfa& nfa, Fragment whole, Budget& budget) {
    return SubsetConstruction(nfa, whole.end, budget).run(whole.start);
}

}  // namespace kvasir::grammar
