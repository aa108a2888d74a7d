#include "daemon/grammar/grammar.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "config/base/check.hpp"

namespace kvasir::grammar {

namespace {

constexpr std::uint32_t kUndefined = 0xffffffffU;
/// Repetitions of what may be empty are tried one by one without reading anything.
constexpr std::uint32_t kMaxEmptyRepeats = 64;

std::size_t index(NodeId id) {
    return static_cast<std::size_t>(id);
}

}  // namespace

NodeId GrammarBuilder::add(Node node, std::span<const NodeId> children) {
    if (grammar_.nodes_.size() >= kMaxNodes ||
        grammar_.children_.size() + children.size() > 4 * kMaxNodes) {
        is_too_large_ = true;
        if (!grammar_.nodes_.empty()) return NodeId{0};
    }
    if (node.kind != NodeKind::terminal) {
        node.first_child = static_cast<std::uint32_t>(grammar_.children_.size());
        node.n_children = static_cast<std::uint32_t>(children.size());
        grammar_.children_.insert(grammar_.children_.end(), children.begin(), children.end());
    }
    grammar_.nodes_.push_back(node);
    return NodeId{static_cast<std::uint32_t>(grammar_.nodes_.size() - 1)};
}

NodeId GrammarBuilder::literal(std::string_view bytes) {
    Dfa dfa;
    dfa.states.resize(bytes.size() + 1);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        dfa.states[i].edges.push_back({byte, byte, static_cast<std::uint32_t>(i + 1)});
    }
    dfa.states.back().accepts = true;
    return terminal(std::move(dfa));
}

NodeId GrammarBuilder::terminal(Dfa bytes) {
    if (bytes.is_empty()) return choice({});
    n_automaton_states_ += bytes.states.size();
    if (n_automaton_states_ > kMaxAutomatonStates) {
        is_too_large_ = true;
        bytes = Dfa{.states = {{.edges = {}, .accepts = true}}};
    }
    grammar_.automata_.push_back(std::move(bytes));
    return add({.kind = NodeKind::terminal,
                .first_child = static_cast<std::uint32_t>(grammar_.automata_.size() - 1)},
               {});
}

NodeId GrammarBuilder::sequence(std::span<const NodeId> nodes) {
    return nodes.size() == 1 ? nodes[0] : add({.kind = NodeKind::sequence}, nodes);
}

NodeId GrammarBuilder::sequence(std::initializer_list<NodeId> nodes) {
    return sequence(std::span(nodes.begin(), nodes.size()));
}

NodeId GrammarBuilder::choice(std::span<const NodeId> nodes) {
    return nodes.size() == 1 ? nodes[0] : add({.kind = NodeKind::choice}, nodes);
}

NodeId GrammarBuilder::choice(std::initializer_list<NodeId> nodes) {
    return choice(std::span(nodes.begin(), nodes.size()));
}

NodeId GrammarBuilder::repeat(NodeId node, std::uint32_t low, std::uint32_t high) {
    if (high == 0) return empty();
    if (low > high) return choice({});
    return add({.kind = NodeKind::repeat, .low = low, .high = high}, std::array{node});
}

NodeId GrammarBuilder::rule(std::string name) {
    const NodeId id = add({.kind = NodeKind::rule}, std::array{NodeId{kUndefined}});
    rules_.emplace_back(id, std::move(name));
    return id;
}

void GrammarBuilder::define(NodeId rule, NodeId body) {
    if (is_too_large_) return;
    const Node& node = grammar_.node(rule);
    KVASIR_CHECK(node.kind == NodeKind::rule, "only rules are defined");
    grammar_.children_[node.first_child] = body;
}

std::string GrammarBuilder::name_of(std::size_t node) const {
    const auto found = std::ranges::find_if(
        rules_, [node](const auto& entry) { return index(entry.first) == node; });
    return found == rules_.end() ? std::string() : found->second;
}

/// The least set of nodes with `holds(node, set)`, which may only turn true as the set grows.
template <class Holds>
std::vector<char> GrammarBuilder::least_fixpoint(Holds&& holds) const {
    const std::size_t n = grammar_.nodes_.size();
    std::vector<std::vector<std::uint32_t>> users(n);
    for (std::uint32_t i = 0; i < n; ++i) {
        const Node& node = grammar_.nodes_[i];
        for (std::uint32_t k = 0; k < node.n_children; ++k)
            users[index(grammar_.child(node, k))].push_back(i);
    }
    std::vector<char> set(n, 0);
    std::vector<std::uint32_t> work(n);
    for (std::uint32_t i = 0; i < n; ++i) work[i] = i;
    while (!work.empty()) {
        const std::uint32_t i = work.back();
        work.pop_back();
        if (set[i] != 0 || !holds(grammar_.nodes_[i], set)) continue;
        set[i] = 1;
        work.insert(work.end(), users[i].begin(), users[i].end());
    }
    return set;
}

std::vector<char> GrammarBuilder::find_ending() const {
    return least_fixpoint([this](const Node& node, const std::vector<char>& set) {
        const auto ends = [&](std::uint32_t k) { return set[index(grammar_.child(node, k))] != 0; };
        switch (node.kind) {
            case NodeKind::terminal: return true;
            case NodeKind::rule: return ends(0);
            case NodeKind::repeat: return node.low == 0 || ends(0);
            case NodeKind::sequence:
                for (std::uint32_t k = 0; k < node.n_children; ++k) {
                    if (!ends(k)) return false;
                }
                return true;
            case NodeKind::choice:
                for (std::uint32_t k = 0; k < node.n_children; ++k) {
                    if (ends(k)) return true;
                }
                return false;
        }
        return false;
    });
}

std::vector<char> GrammarBuilder::find_empty() const {
    return least_fixpoint([this](const Node& node, const std::vector<char>& set) {
        const auto is_empty = [&](std::uint32_t k) {
            return set[index(grammar_.child(node, k))] != 0;
        };
        switch (node.kind) {
            case NodeKind::terminal: return grammar_.automaton(node.first_child).states[0].accepts;
            case NodeKind::rule: return is_empty(0);
            case NodeKind::repeat: return node.low == 0 || is_empty(0);
            case NodeKind::sequence:
                for (std::uint32_t k = 0; k < node.n_children; ++k) {
                    if (!is_empty(k)) return false;
                }
                return true;
            case NodeKind::choice:
                for (std::uint32_t k = 0; k < node.n_children; ++k) {
                    if (is_empty(k)) return true;
                }
                return false;
        }
        return false;
    });
}

/// Choices lose what never ends; a repetition of it, which then need not happen, becomes empty.
void GrammarBuilder::drop_endless(const std::vector<char>& ends) {
    for (Node& node : grammar_.nodes_) {
        if (node.kind == NodeKind::choice) {
            std::uint32_t n_kept = 0;
            for (std::uint32_t k = 0; k < node.n_children; ++k) {
                const NodeId child = grammar_.child(node, k);
                if (ends[index(child)] != 0)
                    grammar_.children_[node.first_child + n_kept++] = child;
            }
            node.n_children = n_kept;
        } else if (node.kind == NodeKind::repeat && ends[index(grammar_.child(node, 0))] == 0) {
            node = {.kind = NodeKind::sequence, .first_child = node.first_child};
        }
    }
}

/// No node may be reached from itself through what can stand first.
Result<> GrammarBuilder::check_left_recursion(const std::vector<char>& empties) const {
    enum class Mark : char { none, open, done };
    std::vector<Mark> marks(grammar_.nodes_.size(), Mark::none);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> path;  // node, next child
    for (std::uint32_t start = 0; start < marks.size(); ++start) {
        if (marks[start] != Mark::none) continue;
        path.emplace_back(start, 0);
        marks[start] = Mark::open;
        while (!path.empty()) {
            auto& [at, next] = path.back();
            const Node& node = grammar_.nodes_[at];
            const bool is_blocked =
                node.kind == NodeKind::sequence && next > 0 &&
                empties[index(grammar_.child(node, next - 1))] == 0;  // something was read
            if (next >= node.n_children || is_blocked) {
                marks[at] = Mark::done;
                path.pop_back();
                continue;
            }
            const auto child = static_cast<std::uint32_t>(index(grammar_.child(node, next++)));
            if (marks[child] == Mark::done) continue;
            if (marks[child] == Mark::none) {
                marks[child] = Mark::open;
                path.emplace_back(child, 0);
                continue;
            }
            std::string name;
            for (auto step = path.rbegin(); step != path.rend() && name.empty(); ++step)
                name = name_of(step->first);
            return Error{ErrorCode::invalid_argument,
                         fmt::format("rule \"{}\" begins with itself (left recursion), expected "
                                     "something to be read first",
                                     name)};
        }
    }
    return {};
}

/// What may be empty needs no minimum.
Result<> GrammarBuilder::tame_repeats(const std::vector<char>& empties) {
    for (Node& node : grammar_.nodes_) {
        if (node.kind != NodeKind::repeat || empties[index(grammar_.child(node, 0))] == 0) continue;
        node.low = 0;
        if (node.high != kNoLimit && node.high > kMaxEmptyRepeats) {
            return Error{ErrorCode::too_large,
                         fmt::format("up to {} repetitions of what may be empty, expected at most "
                                     "{} or no bound",
                                     node.high, kMaxEmptyRepeats)};
        }
    }
    return {};
}

void GrammarBuilder::divide_bytes() {
    std::array<bool, 257> begins{};
    begins[0] = true;
    for (const Dfa& dfa : grammar_.automata_) {
        for (const Dfa::State& state : dfa.states) {
            for (const Dfa::Edge& edge : state.edges) {
                begins[edge.low] = true;
                begins[edge.high + 1] = true;
            }
        }
    }
    std::uint32_t n = 0;
    for (std::size_t byte = 0; byte < 256; ++byte) {
        if (begins[byte]) ++n;
        grammar_.class_of_[byte] = static_cast<std::uint8_t>(n - 1);
    }
    grammar_.n_classes_ = n;
}

Result<std::shared_ptr<const Grammar>> GrammarBuilder::finish(NodeId root) {
    if (is_too_large_) {
        return Error{ErrorCode::too_large,
                     fmt::format("the grammar has more than {} parts or {} states of automata",
                                 kMaxNodes, kMaxAutomatonStates)};
    }
    for (const auto& [id, name] : rules_) {
        KVASIR_CHECK(grammar_.child(grammar_.node(id), 0) != NodeId{kUndefined},
                     "every rule is defined before the grammar is finished");
    }
    const std::vector<char> ends = find_ending();
    if (ends[index(root)] == 0)
        return Error{ErrorCode::invalid_argument, "no text can ever satisfy the constraint"};
    drop_endless(ends);
    const std::vector<char> empties = find_empty();
    KVASIR_TRY_VOID(check_left_recursion(empties));
    KVASIR_TRY_VOID(tame_repeats(empties));
    divide_bytes();
    grammar_.root_ = root;
    return std::shared_ptr<const Grammar>(new Grammar(std::move(grammar_)));
}

}  // namespace kvasir::grammar
