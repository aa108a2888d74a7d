// SentencePiece's way to merge: the pair whose token has the best score, the leftmost of equals.
// Which pairs make which token is worked out once, so that encoding is the merging of BPE.
#pragma once

#include <span>

#include "daemon/model/tokenizer_characters.hpp"
#include "daemon/model/tokenizer_vocabulary.hpp"

namespace kvasir {

struct ScoredMerges {
    CharacterSymbols symbols;
    BpeMerges merges;
};

/// words: tokens that text can become, spaces escaped. Errors: corrupt (fewer scores than tokens,
/// a score that is no number, a token too long to be a piece of text).
Result<ScoredMerges> merge_by_score(const Words& words, std::span<const double> scores,
                                    std::uint32_t n_vocab);

/// The words that are one character.
CharacterSymbols character_symbols(const Words& words, std::uint32_t n_vocab);

}  // namespace kvasir
