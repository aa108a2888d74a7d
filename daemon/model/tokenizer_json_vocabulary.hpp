// The tokens of a tokenizer.json: those of its model, and those added to them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/model/json_members.hpp"
#include "daemon/model/tokenizer_special.hpp"
#include "daemon/model/tokenizer_vocabulary.hpp"

namespace kvasir {

struct JsonToken {
    std::string_view text;
    bool is_given = false;  // ids may have holes between them
    bool is_added = false;
    bool is_special = false;
    SpecialTokens::Strip strip;
};

/// Views into the document.
struct JsonVocabulary {
    std::vector<JsonToken> tokens;  // (id)
    Words vocab;                    // the model's
    std::optional<TokenId> unknown;
};

/// Errors: corrupt (ids negative, given twice or beyond every vocabulary; texts too long),
/// unsupported (`single_word`).
Result<JsonVocabulary> read_json_vocabulary(const JsonMembers& file, const JsonMembers& model);

}  // namespace kvasir
