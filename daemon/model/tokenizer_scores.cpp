#include "daemon/model/tokenizer_scores.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kMaxWordBytes = 512;  // every cut of a word is looked up: quadratic

/// Where the characters of text end; empty if it is not UTF-8.
void character_ends(std::string_view text, std::vector<std::size_t>& ends) {
    ends.clear();
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Step step = utf8_step(text.substr(at));
        if (step.kind != Utf8Step::Kind::character) return ends.clear();
        at += step.n_bytes;
        ends.push_back(at);
    }
}

class Builder {
public:
    Builder(const Words& words, std::uint32_t n_vocab)
        : words_(words), symbols_(character_symbols(words, n_vocab)) {}

    void add(std::string_view word, TokenId id, std::uint32_t rank) {
        character_ends(word, ends_);
        for (std::size_t i = 0; i + 1 < ends_.size(); ++i) {
            const auto left = find(word.substr(0, ends_[i]), i == 0);
            if (!left) continue;
            const auto right = find(word.substr(ends_[i]), i + 2 == ends_.size());
            if (right) merges_.push_back({*left, *right, id, rank});
        }
    }
    std::size_t n_merges() const { return merges_.size(); }
    ScoredMerges build() { return {symbols_, BpeMerges(symbols_.size(), merges_)}; }

private:
    std::optional<std::uint32_t> find(std::string_view part, bool is_character) {
        if (is_character) return symbols_.add_loose(part);
        const auto found = words_.find(part);
        return found == words_.end() ? std::nullopt : std::optional(found->second);
    }

    const Words& words_;
    CharacterSymbols symbols_;
    std::vector<BpeMerge> merges_;
    std::vector<std::size_t> ends_;
};

}  // namespace

CharacterSymbols character_symbols(const Words& words, std::uint32_t n_vocab) {
    CharacterSymbols symbols(n_vocab);
    for (const auto& [word, id] : words) {
        if (word.empty() || word.size() > 4) continue;
        const Utf8Step step = utf8_step(word);
        if (step.kind == Utf8Step::Kind::character && step.n_bytes == word.size())
            symbols.add_token(word, id);
    }
    return symbols;
}

Result<ScoredMerges> merge_by_score(const Words& words, std::span<const double> scores,
                                    std::uint32_t n_vocab) {
    if (scores.size() != n_vocab) {
        return Error{ErrorCode::corrupt, "tokenizer.ggml.scores: " + std::to_string(scores.size()) +
                                             " scores, expected " + std::to_string(n_vocab) +
                                             ", one a token"};
    }
    std::vector<std::pair<TokenId, std::string_view>> by_id;
    std::vector<double> distinct;
    for (const auto& [word, id] : words) {
        if (std::isnan(scores[id])) {
            return Error{ErrorCode::corrupt, "tokenizer.ggml.scores: token " + std::to_string(id) +
                                                 " has a score that is no number"};
        }
        if (word.size() > kMaxWordBytes) {
            return Error{ErrorCode::corrupt,
                         "tokenizer.ggml.tokens: token " + std::to_string(id) + " has " +
                             std::to_string(word.size()) + " bytes, expected at most " +
                             std::to_string(kMaxWordBytes) + " of a piece of text"};
        }
        by_id.emplace_back(id, word);
        distinct.push_back(scores[id]);
    }
    std::sort(by_id.begin(), by_id.end());
    std::sort(distinct.begin(), distinct.end(), std::greater<>());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    Builder builder(words, n_vocab);
    for (const auto& [id, word] : by_id) {
        const auto at =
            std::lower_bound(distinct.begin(), distinct.end(), scores[id], std::greater<>());
        builder.add(word, id, static_cast<std::uint32_t>(at - distinct.begin()));
        if (builder.n_merges() > kMaxMerges) {
            return Error{ErrorCode::corrupt, "tokenizer.ggml.tokens: more than " +
                                                 std::to_string(kMaxMerges) +
                                                 " ways to make a token of two"};
        }
    }
    return builder.build();
}

}  // namespace kvasir
