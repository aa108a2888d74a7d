// Grammar: what may be written, as a tree of automata, sequences, choices, repetitions and rules.
// Immutable once built; knows no tokens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/grammar/automaton.hpp"

namespace kvasir::grammar {

enum class NodeId : std::uint32_t {};

enum class NodeKind : std::uint8_t { terminal, sequence, choice, repeat, rule };

inline constexpr std::uint32_t kNoLimit = 0xffffffffU;

struct Node {
    NodeKind kind = NodeKind::sequence;
    std::uint32_t first_child = 0;  // of the grammar's children; of a terminal: its automaton
    std::uint32_t n_children = 0;   // of a repeat and a rule: one
    std::uint32_t low = 0;          // of a repeat
    std::uint32_t high = kNoLimit;  // of a repeat
};

/// Invariants: every node that the root reaches can end; no rule begins with itself; what is
/// repeated up to a large bound is not empty. So a text's state is a finite set of finite stacks,
/// and each of them can be completed.
class Grammar {
public:
    NodeId root() const { return root_; }
    const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
    NodeId child(const Node& node, std::uint32_t i) const {
        return children_[node.first_child + i];
    }
    const Dfa& automaton(std::uint32_t index) const { return automata_[index]; }
    std::size_t n_nodes() const { return nodes_.size(); }

    /// Bytes that no automaton tells apart share a class.
    std::uint32_t class_of(std::uint8_t byte) const { return class_of_[byte]; }
    std::uint32_t n_classes() const { return n_classes_; }

private:
    friend class GrammarBuilder;
    Grammar() = default;

    NodeId root_{};
    std::vector<Node> nodes_;
    std::vector<NodeId> children_;
    std::vector<Dfa> automata_;  // over bytes
    std::array<std::uint8_t, 256> class_of_{};
    std::uint32_t n_classes_ = 1;
};

class GrammarBuilder {
public:
    static constexpr std::size_t kMaxNodes = 200'000;
    static constexpr std::size_t kMaxAutomatonStates = 1'000'000;  // of all terminals together

    NodeId literal(std::string_view bytes);
    /// Over bytes, trimmed.
    NodeId terminal(Dfa bytes);
    NodeId sequence(std::span<const NodeId> nodes);
    NodeId sequence(std::initializer_list<NodeId> nodes);
    /// Of nothing: what can never be written.
    NodeId choice(std::span<const NodeId> nodes);
    NodeId choice(std::initializer_list<NodeId> nodes);
    NodeId repeat(NodeId node, std::uint32_t low, std::uint32_t high);
    NodeId optional(NodeId node) { return repeat(node, 0, 1); }
    NodeId empty() { return sequence({}); }
    /// To be defined before finish.
    NodeId rule(std::string name);
    void define(NodeId rule, NodeId body);

    /// Errors: invalid_argument (a rule that begins with itself or never ends; the root never
    /// ends), too_large.
    Result<std::shared_ptr<const Grammar>> finish(NodeId root);

private:
    NodeId add(Node node, std::span<const NodeId> children);
    std::string name_of(std::size_t node) const;
    std::vector<char> find_ending() const;
    std::vector<char> find_empty() const;
    void drop_endless(const std::vector<char>& ends);
    Result<> check_left_recursion(const std::vector<char>& empties) const;
    Result<> tame_repeats(const std::vector<char>& empties);
    void divide_bytes();
    template <class Holds>
    std::vector<char> least_fixpoint(Holds&& holds) const;

    Grammar grammar_;
    std::vector<std::pair<NodeId, std::string>> rules_;
    std::size_t n_automaton_states_ = 0;
    bool is_too_large_ = false;
};

}  // namespace kvasir::grammar
