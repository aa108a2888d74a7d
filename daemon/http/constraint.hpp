// A grammar over the loaded model's vocabulary.
#pragma once

#include <memory>

#include "daemon/engine/generation.hpp"
#include "daemon/grammar/token_matcher.hpp"

namespace kvasir {

/// Of all tokens; tenths of a second for the largest vocabularies.
std::shared_ptr<const grammar::TokenTrie> make_trie(const Tokenizer& tokenizer);

/// nullptr for no grammar. The first call for a model makes the trie of its vocabulary, which every
/// later one shares. Any thread.
std::shared_ptr<const grammar::Constraint> find_constraint(
    const ModelInfo& model, const std::shared_ptr<const grammar::Grammar>& grammar);

}  // namespace kvasir
