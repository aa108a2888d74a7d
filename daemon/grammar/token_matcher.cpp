#include "daemon/grammar/token_matcher.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "config/base/check.hpp"

namespace kvasir::grammar {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr std::size_t kWordBits = 64;

Error too_ambiguous() {
    return {ErrorCode::unsupported,
            "the grammar can be read in too many ways at once for this text"};
}

}  // namespace

TokenMatcher::TokenMatcher(std::shared_ptr<const Constraint> constraint)
    : constraint_(std::move(constraint)),
      states_(constraint_->grammar),
      state_(states_.start()),
      path_(constraint_->tokens->max_depth() + 1U) {}

/// What is kept can be computed again; only the present state cannot.
void TokenMatcher::make_room() {
    if (size_bytes() <= kMaxBytes) return;
    masks_.clear();
    mask_bytes_ = 0;
    state_ = states_.forget_all_but(state_);
}

TokenMatcher::Bits TokenMatcher::walk() {
    const TokenTrie& trie = *constraint_->tokens;
    Bits bits((trie.n_vocab() + kWordBits - 1) / kWordBits);
    const auto entries = trie.entries();
    const auto tokens = trie.tokens();
    path_[0] = state_;
    for (std::uint32_t i = 0; i < trie.n_entries();) {
        const TokenTrie::Entry& entry = entries[i];
        const TextState next = states_.step(path_[entry.depth], entry.byte);
        if (next == TextStates::kDead) {
            i = entry.next;
            continue;
        }
        // Within a string most of the vocabulary is allowed, branch by branch.
        const bool is_whole =
            entry.n_plain != TokenTrie::kNotPlain && entry.n_plain <= states_.n_plain(next);
        const std::uint32_t after = is_whole ? entry.next : i + 1;
        for (std::uint32_t k = entry.first_token; k < entries[after].first_token; ++k)
            bits[tokens[k] / kWordBits] |= std::uint64_t{1} << (tokens[k] % kWordBits);
        path_[entry.depth + 1U] = next;
        i = after;
    }
    return bits;
}

Result<const TokenMatcher::Bits*> TokenMatcher::find_mask() {
    const auto known = masks_.find(static_cast<std::uint32_t>(state_));
    if (known != masks_.end()) return &known->second;
    make_room();
    states_.start_work();
    Bits bits = walk();
    if (states_.has_overflowed()) return too_ambiguous();
    mask_bytes_ += bits.size() * sizeof(std::uint64_t);
    return &masks_.insert_or_assign(static_cast<std::uint32_t>(state_), std::move(bits))
                .first->second;
}

Result<> TokenMatcher::mask(std::span<float> logits, bool ignore_ends) {
    KVASIR_TRY(const Bits* const bits, find_mask());
    bool is_any = false;
    const std::size_t n = std::min<std::size_t>(logits.size(), constraint_->tokens->n_vocab());
    const bool end_may_come = may_end() && (!ignore_ends || must_end());
    std::vector<std::pair<TokenId, float>> ends;
    if (end_may_come) {
        for (const TokenId id : constraint_->tokens->ends()) {
            if (id < logits.size()) ends.emplace_back(id, logits[id]);
        }
    }
    for (std::size_t word = 0; word < bits->size(); ++word) {
        std::uint64_t allowed = (*bits)[word];
        is_any = is_any || allowed != 0;
        const std::size_t begin = word * kWordBits;
        if (begin >= n) break;
        const std::size_t end = std::min(begin + kWordBits, n);
        if (allowed == ~std::uint64_t{0}) continue;
        if (allowed == 0) {
            std::fill(logits.begin() + static_cast<std::ptrdiff_t>(begin),
                      logits.begin() + static_cast<std::ptrdiff_t>(end), kNever);
            continue;
        }
        constexpr int kFew = 24;
        std::uint64_t banned = ~allowed;
        if (std::popcount(banned) <= kFew) {
            for (; banned != 0; banned &= banned - 1) {
                const std::size_t id = begin + static_cast<std::size_t>(std::countr_zero(banned));
                if (id < end) logits[id] = kNever;
            }
            continue;
        }
        for (std::size_t id = begin; id < end; ++id, allowed >>= 1)
            logits[id] = (allowed & 1) == 0 ? kNever : logits[id];
    }
    std::fill(logits.begin() + static_cast<std::ptrdiff_t>(n), logits.end(), kNever);
    for (const auto& [id, logit] : ends) logits[id] = logit;
    if (!is_any && ends.empty()) {
        return Error{ErrorCode::unsupported,
                     may_end() ? "the model has no token for the text's end"
                               : "the vocabulary has no token that the grammar allows here"};
    }
    return {};
}

Result<> TokenMatcher::accept(TokenId id) {
    KVASIR_CHECK(id < constraint_->tokens->n_vocab(), "accepted tokens are of the vocabulary");
    const std::string& bytes = constraint_->tokens->bytes(id);
    states_.start_work();
    TextState state = bytes.empty() ? TextStates::kDead : state_;
    for (const char byte : bytes) state = states_.step(state, static_cast<std::uint8_t>(byte));
    if (states_.has_overflowed()) return too_ambiguous();
    if (state == TextStates::kDead) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("token {}: not what the grammar allows here", id)};
    }
    state_ = state;
    make_room();
    return {};
}

}  // namespace kvasir::grammar
