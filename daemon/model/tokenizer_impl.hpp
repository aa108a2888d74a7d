// What a Tokenizer holds; filled by the loaders, read by tokenizer.cpp.
#pragma once

#include <memory>
#include <optional>

#include "daemon/model/tokenizer.hpp"
#include "daemon/model/tokenizer_encoder.hpp"
#include "daemon/model/tokenizer_normalizer.hpp"
#include "daemon/model/tokenizer_special.hpp"
#include "daemon/model/tokenizer_vocabulary.hpp"

namespace kvasir {

/// The space that a vocabulary puts before a text, and decode takes away again.
enum class LeadingSpace {
    none,
    first,  // at the start of the whole text
    each,   // there and after every special token
};

struct Tokenizer::Impl {
    TokenTable table;
    SpecialTokens specials;
    TextNormalizer normalizer;
    std::unique_ptr<const TextEncoder> encoder;  // may hold views into table
    LeadingSpace leading_space = LeadingSpace::none;
    std::optional<TokenId> bos;
    bool add_bos = false;
    std::optional<TokenId> text_end;
};

}  // namespace kvasir
