// TokenMatcher: which tokens may come next in one generated text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"
#include "daemon/grammar/grammar.hpp"
#include "daemon/grammar/text_states.hpp"
#include "daemon/grammar/token_trie.hpp"

namespace kvasir::grammar {

/// A grammar over a vocabulary. Immutable, shared by the choices of a request.
struct Constraint {
    std::shared_ptr<const Grammar> grammar;
    std::shared_ptr<const TokenTrie> tokens;
};

/// The state of one text. A state's mask is computed by one walk of the trie and kept; what is kept
/// is bounded by kMaxBytes. Not thread-safe.
class TokenMatcher {
public:
    static constexpr std::size_t kMaxBytes = 8U << 20;

    /// REQUIRES: both parts of the constraint are there.
    explicit TokenMatcher(std::shared_ptr<const Constraint> constraint);

    /// Makes -inf of every logit whose token cannot come next. An end token may come where the text
    /// may end; with ignore_ends only where nothing else can. Logits beyond the vocabulary become
    /// -inf as well. Errors: unsupported (the grammar can be read in too many ways at
    /// once for this text; the vocabulary has no token that could come next).
    Result<> mask(std::span<float> logits, bool ignore_ends);

    /// Errors: invalid_argument (a token that mask forbids), unsupported.
    Result<> accept(TokenId id);

    bool may_end() const { return states_.may_end(state_); }
    /// Nothing but an end can follow.
    bool must_end() const { return states_.must_end(state_); }
    /// Held for states and masks.
    std::size_t size_bytes() const { return states_.size_bytes() + mask_bytes_; }

private:
    using Bits = std::vector<std::uint64_t>;  // one a token of the vocabulary

    Result<const Bits*> find_mask();
    Bits walk();
    void make_room();

    std::shared_ptr<const Constraint> constraint_;
    TextStates states_;
    TextState state_;
    std::unordered_map<std::uint32_t, Bits> masks_;  // by state
    std::size_t mask_bytes_ = 0;
    std::vector<TextState> path_;  // (longest token), the states of the walk
};

}  // namespace kvasir::grammar
