// TextStates: the states a text can be in under a grammar, found and numbered as they are met.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "daemon/grammar/grammar.hpp"

namespace kvasir::grammar {

enum class TextState : std::uint32_t {};

/// A state is the set of stacks that a pushdown automaton could have; its top is where an automaton
/// of the grammar stands, what lies below is what follows it. Stacks share their lower parts, equal
/// stacks and equal states have one number, and each step is computed once. Not thread-safe.
///
///   state 5 = { stack 9, stack 12 }      9 = (terminal 3 at 1) -> 4 = (sequence 7, child 2) -> 0
///                                        0 = the empty stack: the text may end
class TextStates {
public:
    static constexpr TextState kDead{0};  // what no text leads out of
    /// More stacks or states at a time than this: has_overflowed.
    static constexpr std::size_t kMaxStacksPerState = 16'384;
    static constexpr std::size_t kMaxStates = 1U << 18;
    /// Parts begun or ended between two calls of start_work: bounds what a grammar can cost a
    /// token.
    static constexpr std::size_t kMaxWork = 2'000'000;

    explicit TextStates(std::shared_ptr<const Grammar> grammar);

    TextState start() const { return start_; }
    TextState step(TextState from, std::uint8_t byte) {
        const std::uint32_t cls = class_of_[byte];
        const std::uint32_t known = next_[static_cast<std::size_t>(from) * n_classes_ + cls];
        return known != kUnknown ? TextState{known} : compute(from, byte, cls);
    }
    bool may_end(TextState state) const;
    /// True where the text is complete: no byte can follow.
    bool must_end(TextState state) const;
    /// So many plain characters, whichever they are, can follow, the last one maybe in part; 254:
    /// at least as many.
    std::uint8_t n_plain(TextState state);
    void start_work() { work_ = 0; }
    /// A state was too large to be computed and was taken as dead.
    bool has_overflowed() const { return overflowed_; }

    std::size_t n_states() const { return spans_.size(); }
    /// Bytes held.
    std::size_t size_bytes() const;
    /// Forgets everything but what this state needs, and returns its new number. Numbers from
    /// before mean nothing any more.
    TextState forget_all_but(TextState state);

private:
    static constexpr std::uint32_t kUnknown = 0xffffffffU;
    static constexpr std::uint32_t kEmptyStack = 0;
    static constexpr std::uint8_t kManyPlain = 254;
    static constexpr std::uint8_t kUnknownPlain = 255;

    struct Frame {
        NodeId node{};
        std::uint32_t a = 0;  // terminal: state; sequence: next child; repeat: least still to come
        std::uint32_t b = 0;  // repeat: most still to come
        std::uint32_t below = 0;
        bool operator==(const Frame&) const = default;
    };
    struct FrameHash {
        std::size_t operator()(const Frame& frame) const;
    };
    struct Span {
        std::uint32_t begin = 0;
        std::uint32_t size = 0;
    };
    struct Order {
        NodeId node{};  // to be begun on the stack; resume: the stack's top has been read
        std::uint32_t stack = 0;
        bool resume = false;
    };

    TextState after_plain(TextState state);
    TextState after_character(TextState state, unsigned n_more, std::uint8_t low,
                              std::uint8_t high);
    TextState compute(TextState from, std::uint8_t byte, std::uint32_t cls);
    std::uint32_t push(const Frame& frame);
    void begin(NodeId node, std::uint32_t stack);
    void resume(std::uint32_t stack);
    void expand(NodeId node, std::uint32_t stack);
    void follow(std::uint32_t stack);
    void repeat(NodeId node, std::uint32_t low, std::uint32_t high, std::uint32_t below);
    void enter(const Frame& terminal);
    void work_off();
    TextState intern();
    void reset();

    std::shared_ptr<const Grammar> grammar_;
    std::array<std::uint8_t, 256> class_of_{};
    std::uint32_t n_classes_ = 1;
    TextState start_{};
    bool overflowed_ = false;
    std::size_t work_ = 0;

    std::vector<Frame> frames_;  // 0: the empty stack
    std::unordered_map<Frame, std::uint32_t, FrameHash> frame_index_;
    std::vector<Span> spans_;            // a state's stacks
    std::vector<std::uint32_t> stacks_;  // ascending in each state
    std::unordered_multimap<std::uint64_t, std::uint32_t> state_index_;
    std::vector<std::uint32_t> next_;    // (states, classes)
    std::vector<std::uint8_t> n_plain_;  // (states), or kUnknownPlain

    // Of the step being computed.
    std::vector<Order> orders_;
    std::unordered_set<std::uint64_t> seen_;
    std::vector<std::uint32_t> found_;
};

}  // namespace kvasir::grammar
