// Real vocabularies and 300 texts. The vocabularies are third parties', so they are read where they
// lie; where they do not, the tests say so.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir::test {

inline const std::string kGoldenTokenizers = KVASIR_SHARED_DIR "/golden/tokenizer/";

inline bool have_golden_tokenizers() {
    if (std::filesystem::exists(kGoldenTokenizers)) return true;
    std::cerr << "skipped: no " << kGoldenTokenizers << "\n";
    return false;
}

inline boost::json::array read_golden(const std::string& name) {
    std::ifstream file(kGoldenTokenizers + name);
    std::stringstream text;
    text << file.rdbuf();
    return boost::json::parse(text.str()).as_array();
}

inline std::vector<std::string> golden_texts() {
    std::vector<std::string> texts;
    for (const auto& text : read_golden("texts.json")) texts.emplace_back(text.as_string());
    return texts;
}

inline std::vector<Ids> golden_ids(const std::string& name) {
    std::vector<Ids> all;
    for (const auto& ids : read_golden(name + ".ids.json")) {
        all.emplace_back();
        for (const auto& id : ids.as_array()) all.back().push_back(id.to_number<TokenId>());
    }
    return all;
}

/// SentencePiece writes a space as U+2581, so that a U+2581 comes back as a space.
inline std::string as_decoded(std::string text, bool is_sentence_piece) {
    for (std::size_t at = 0; is_sentence_piece;) {
        at = text.find("\u2581", at);
        if (at == std::string::npos) break;
        text.replace(at, 3, " ");
    }
    return text;
}

}  // namespace kvasir::test
