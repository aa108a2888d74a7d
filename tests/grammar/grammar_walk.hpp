// A walk through a constraint with random numbers in the model's place, and small vocabularies.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/grammar/token_matcher.hpp"

namespace kvasir::grammar {

/// Every byte, the end (id 256), and the given texts.
inline std::shared_ptr<const TokenTrie> make_vocabulary(const std::vector<std::string>& texts) {
    std::vector<std::string> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
    bytes.emplace_back();
    bytes.insert(bytes.end(), texts.begin(), texts.end());
    return TokenTrie::create(std::move(bytes), {256});
}

/// The text, byte by byte; whether it may end there.
inline bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
    TextStates states(grammar);
    TextState state = states.start();
    for (const char byte : text) state = states.step(state, static_cast<std::uint8_t>(byte));
    return states.may_end(state);
}

struct Walk {
    std::string text;
    bool is_complete = false;
    std::string error;
};

/// Draws tokens until the end, at most max_tokens. The farther on, the likelier are the end and
/// what leads there: quotes and closing brackets.
inline Walk random_walk(const std::shared_ptr<const Constraint>& constraint, std::mt19937& random,
                        std::size_t max_tokens) {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    Walk walk;
    TokenMatcher matcher(constraint);
    const TokenTrie& tokens = *constraint->tokens;
    std::vector<float> logits(tokens.n_vocab());
    for (std::size_t i = 0; i < max_tokens; ++i) {
        if (matcher.must_end()) {
            walk.is_complete = true;
            return walk;
        }
        std::exponential_distribution<float> exponential(1.0F);
        const auto haste = static_cast<float>(i) / 20;
        for (TokenId id = 0; id < logits.size(); ++id) {
            logits[id] = -std::log(exponential(random) + 1e-9F);  // Gumbel: the best one is a draw
            const std::string& bytes = tokens.bytes(id);
            const char first = bytes.empty() ? '\0' : bytes[0];
            if (bytes.empty() || first == '"' || first == ']' || first == '}') logits[id] += haste;
            if (first == '\n' || first == ' ' || first == '\\') logits[id] -= 2;
            if (static_cast<unsigned char>(first) >= 0x80) logits[id] -= 4;
        }
        const auto masked = matcher.mask(logits, false);
        if (masked.has_error()) {
            walk.error = masked.error().message;
            return walk;
        }
        const auto best = std::max_element(logits.begin(), logits.end());
        if (*best == kNever) {
            walk.error = "nothing allowed";
            return walk;
        }
        const auto id = static_cast<TokenId>(best - logits.begin());
        if (tokens.bytes(id).empty()) {
            walk.is_complete = true;
            return walk;
        }
        const auto accepted = matcher.accept(id);
        if (accepted.has_error()) {
            walk.error = accepted.error().message;
            return walk;
        }
        walk.text += tokens.bytes(id);
    }
    return walk;
}

}  // namespace kvasir::grammar
