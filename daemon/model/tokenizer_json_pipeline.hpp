// What a tokenizer.json does around its model: normalizer, pre-tokenizer, decoder, post-processor.
#pragma once

#include <boost/json.hpp>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "daemon/model/json_members.hpp"
#include "daemon/model/pre_tokenizer.hpp"
#include "daemon/model/tokenizer_impl.hpp"

namespace kvasir {

struct JsonPipeline {
    TextNormalizer normalizer;
    LeadingSpace prefix = LeadingSpace::none;  // that the normalizer adds
    std::vector<PreTokenizerStep> steps;       // patterns are views into `patterns`
    std::deque<std::string> patterns;
    bool is_byte_level = false;
    bool unescapes_space = false;            // decoding turns U+2581 into a space
    bool drops_first_space = false;          // decoding takes away the prefix
    std::optional<std::string> first_token;  // that the post-processor puts before a text
    std::optional<std::string> last_token;   // and behind one
};

/// file: the whole document. Errors: corrupt, unsupported (naming what is unknown). A split that
/// removes what lies between its matches keeps it here: no text is dropped.
Result<JsonPipeline> read_pipeline(const JsonMembers& file);

}  // namespace kvasir
