#include "daemon/grammar/text_states.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::grammar {

namespace {

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finalizer
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

std::uint32_t less(std::uint32_t count) {
    return count == 0 || count == kNoLimit ? count : count - 1;
}

}  // namespace

std::size_t TextStates::FrameHash::operator()(const Frame& frame) const {
    const std::uint64_t low = (static_cast<std::uint64_t>(frame.node) << 32) | frame.a;
    const std::uint64_t high = (static_cast<std::uint64_t>(frame.b) << 32) | frame.below;
    return mix(mix(low + 0x9e3779b97f4a7c15U) ^ high);
}

TextStates::TextStates(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
    for (std::size_t byte = 0; byte < 256; ++byte)
        class_of_[byte] =
            static_cast<std::uint8_t>(grammar_->class_of(static_cast<std::uint8_t>(byte)));
    n_classes_ = grammar_->n_classes();
    reset();
    seen_.clear();
    begin(grammar_->root(), kEmptyStack);
    work_off();
    start_ = intern();
}

void TextStates::reset() {
    frames_.assign(1, {});
    frame_index_.clear();
    spans_.assign(1, {});  // the dead state
    stacks_.clear();
    state_index_.clear();
    next_.assign(n_classes_, static_cast<std::uint32_t>(kDead));
    n_plain_.assign(1, 0);
}

bool TextStates::may_end(TextState state) const {
    const Span span = spans_[static_cast<std::size_t>(state)];
    return span.size > 0 && stacks_[span.begin] == kEmptyStack;
}

bool TextStates::must_end(TextState state) const {
    return may_end(state) && spans_[static_cast<std::size_t>(state)].size == 1;
}

std::size_t TextStates::size_bytes() const {
    constexpr std::size_t kIndexEntry = 48;  // a node of a hash table and its share of the buckets
    return frames_.size() * (sizeof(Frame) + kIndexEntry) +
           spans_.size() * (sizeof(Span) + kIndexEntry) + 4 * (stacks_.size() + next_.size());
}

std::uint32_t TextStates::push(const Frame& frame) {
    const auto [found, is_new] =
        frame_index_.emplace(frame, static_cast<std::uint32_t>(frames_.size()));
    if (is_new) frames_.push_back(frame);
    return found->second;
}

void TextStates::begin(NodeId node, std::uint32_t stack) {
    const std::uint64_t key = (static_cast<std::uint64_t>(node) << 32) | stack;
    if (seen_.insert(key).second) orders_.push_back({node, stack, false});
}

void TextStates::resume(std::uint32_t stack) {
    const std::uint64_t key = (static_cast<std::uint64_t>(kUnknown) << 32) | stack;
    if (seen_.insert(key).second) orders_.push_back({NodeId{}, stack, true});
}

void TextStates::work_off() {
    while (!orders_.empty()) {
        if (found_.size() > kMaxStacksPerState || seen_.size() > 8 * kMaxStacksPerState ||
            ++work_ > kMaxWork) {
            overflowed_ = true;
            orders_.clear();
            found_.clear();
            return;
        }
        const Order order = orders_.back();
        orders_.pop_back();
        if (order.resume) {
            follow(order.stack);
        } else {
            expand(order.node, order.stack);
        }
    }
}

/// The terminal has read something, or nothing yet.
void TextStates::enter(const Frame& terminal) {
    const Dfa::State& state =
        grammar_->automaton(grammar_->node(terminal.node).first_child).states[terminal.a];
    if (!state.edges.empty()) found_.push_back(push(terminal));
    if (state.accepts) resume(terminal.below);
}

void TextStates::expand(NodeId id, std::uint32_t stack) {
    const Node& node = grammar_->node(id);
    switch (node.kind) {
        case NodeKind::terminal: enter({id, 0, 0, stack}); break;
        case NodeKind::rule: begin(grammar_->child(node, 0), stack); break;
        case NodeKind::choice:
            for (std::uint32_t k = 0; k < node.n_children; ++k)
                begin(grammar_->child(node, k), stack);
            break;
        case NodeKind::repeat: repeat(id, node.low, node.high, stack); break;
        case NodeKind::sequence:
            if (node.n_children == 0) {
                resume(stack);
            } else {
                // What follows the last child follows the sequence: right recursion stays flat.
                begin(grammar_->child(node, 0),
                      node.n_children == 1 ? stack : push({id, 1, 0, stack}));
            }
            break;
    }
}

void TextStates::repeat(NodeId id, std::uint32_t low, std::uint32_t high, std::uint32_t below) {
    if (low == 0) resume(below);
    if (high == 0) return;
    const std::uint32_t left = less(high);
    const std::uint32_t rest = left == 0 ? below : push({id, less(low), left, below});
    begin(grammar_->child(grammar_->node(id), 0), rest);
}

void TextStates::follow(std::uint32_t stack) {
    if (stack == kEmptyStack) {
        found_.push_back(kEmptyStack);
        return;
    }
    const Frame frame = frames_[stack];
    const Node& node = grammar_->node(frame.node);
    if (node.kind == NodeKind::repeat) {
        repeat(frame.node, frame.a, frame.b, frame.below);
        return;
    }
    const bool is_last = frame.a + 1 == node.n_children;
    begin(grammar_->child(node, frame.a),
          is_last ? frame.below : push({frame.node, frame.a + 1, 0, frame.below}));
}

TextState TextStates::intern() {
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    if (found_.empty()) return kDead;
    std::uint64_t hash = found_.size();
    for (const std::uint32_t stack : found_) hash = mix(hash + 0x9e3779b97f4a7c15U + stack);
    const auto [first, last] = state_index_.equal_range(hash);
    for (auto entry = first; entry != last; ++entry) {
        const Span span = spans_[entry->second];
        if (span.size == found_.size() &&
            std::equal(found_.begin(), found_.end(), stacks_.begin() + span.begin)) {
            found_.clear();
            return TextState{entry->second};
        }
    }
    if (spans_.size() >= kMaxStates || stacks_.size() > 16 * kMaxStates) {
        overflowed_ = true;
        found_.clear();
        return kDead;
    }
    const auto state = static_cast<std::uint32_t>(spans_.size());
    state_index_.emplace(hash, state);
    spans_.push_back(
        {static_cast<std::uint32_t>(stacks_.size()), static_cast<std::uint32_t>(found_.size())});
    stacks_.insert(stacks_.end(), found_.begin(), found_.end());
    next_.resize(next_.size() + n_classes_, kUnknown);
    n_plain_.push_back(kUnknownPlain);
    found_.clear();
    return TextState{state};
}

TextState TextStates::compute(TextState from, std::uint8_t byte, std::uint32_t cls) {
    seen_.clear();
    const Span span = spans_[static_cast<std::size_t>(from)];
    work_ += span.size;
    for (std::uint32_t i = 0; i < span.size; ++i) {
        const std::uint32_t stack = stacks_[span.begin + i];
        if (stack == kEmptyStack) continue;
        const Frame frame = frames_[stack];
        const auto next =
            grammar_->automaton(grammar_->node(frame.node).first_child).step(frame.a, byte);
        if (next) enter({frame.node, *next, 0, frame.below});
    }
    work_off();
    const TextState target = intern();
    next_[static_cast<std::size_t>(from) * n_classes_ + cls] = static_cast<std::uint32_t>(target);
    return target;
}

TextState TextStates::forget_all_but(TextState state) {
    const Span span = spans_[static_cast<std::size_t>(state)];
    const std::vector<std::uint32_t> wanted(stacks_.begin() + span.begin,
                                            stacks_.begin() + span.begin + span.size);
    const std::vector<Frame> frames = std::move(frames_);
    std::vector<std::uint32_t> renumbered(frames.size(), 0);
    for (const std::uint32_t stack : wanted) renumbered[stack] = 1;
    // A frame is newer than what lies below it.
    for (std::size_t i = frames.size(); i-- > 1;) {
        if (renumbered[i] != 0) renumbered[frames[i].below] = 1;
    }
    reset();
    renumbered[0] = kEmptyStack;
    for (std::size_t i = 1; i < frames.size(); ++i) {
        if (renumbered[i] == 0) continue;
        Frame frame = frames[i];
        frame.below = renumbered[frame.below];
        renumbered[i] = push(frame);
    }
    for (const std::uint32_t stack : wanted) found_.push_back(renumbered[stack]);
    return intern();
}

}  // namespace kvasir::grammar
