// Dfa: states that no text tells apart become one. Source: Moore, "Gedanken-experiments on
// sequential machines", 1956: classes are split until nothing splits.
#include <map>
#include <utility>

#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::uint64_t kMaxWork = 4'000'000;  // edges looked at: beyond that it stays as it is

/// A state by the classes it leads to, neighbouring ranges of one class as one.
using Signature = std::vector<std::uint32_t>;

Signature signature_of(const Dfa::State& state, std::uint32_t own_class,
                       const std::vector<std::uint32_t>& classes) {
    Signature signature{own_class};
    for (const Dfa::Edge& edge : state.edges) {
        const std::uint32_t target = classes[edge.target];
        const std::size_t n = signature.size();
        if (n > 1 && signature[n - 1] == target && signature[n - 2] + 1 == edge.low) {
            signature[n - 2] = edge.high;
        } else {
            signature.insert(signature.end(), {edge.low, edge.high, target});
        }
    }
    return signature;
}

}  // namespace

Dfa minimize(Dfa dfa) {
    const std::size_t n = dfa.states.size();
    std::uint64_t n_edges = n;
    for (const Dfa::State& state : dfa.states) n_edges += state.edges.size();
    std::vector<std::uint32_t> classes(n);
    for (std::size_t i = 0; i < n; ++i) classes[i] = dfa.states[i].accepts ? 1 : 0;
    std::size_t n_classes = 0;
    for (std::uint64_t work = 0;; work += n_edges) {
        if (work > kMaxWork) return dfa;
        std::map<Signature, std::uint32_t> index;
        std::vector<std::uint32_t> split(n);
        for (std::size_t i = 0; i < n; ++i) {
            const auto [found, is_new] =
                index.emplace(signature_of(dfa.states[i], classes[i], classes),
                              static_cast<std::uint32_t>(index.size()));
            split[i] = found->second;
        }
        classes = std::move(split);
        if (index.size() == n_classes) break;
        n_classes = index.size();
    }
    if (n_classes == n) return dfa;
    // The start is looked at first, so its class is 0.
    Dfa small;
    small.states.assign(n_classes, {});
    std::vector<char> is_made(n_classes, 0);
    for (std::size_t i = 0; i < n; ++i) {
        if (is_made[classes[i]]++ != 0) continue;
        Dfa::State& state = small.states[classes[i]];
        state.accepts = dfa.states[i].accepts;
        for (const Dfa::Edge& edge : dfa.states[i].edges)
            state.edges.push_back({edge.low, edge.high, classes[edge.target]});
    }
    return trim(std::move(small));
}

}  // namespace kvasir::grammar
