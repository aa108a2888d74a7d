// A SentencePiece vocabulary in memory, and what a test adds or breaks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/model/tokenizer_fixture.hpp"

namespace kvasir::test {

/// <unk> <s> </s>, the 256 bytes, and what a test adds; token 3 + n is byte n.
struct Scored {
    Scored() {
        vocabulary.model = "llama";
        vocabulary.pre = "default";
        vocabulary.tokens.clear();
        vocabulary.types.clear();
        add("<unk>", 0, 2);
        add("<s>", 0, 3);
        add("</s>", 0, 3);
        for (unsigned byte = 0; byte < 256; ++byte) add(byte_name(byte), 0, 6);
        vocabulary.ids = {{"bos", 1}, {"eos", 2}, {"unknown", 0}};
    }
    static std::string byte_name(unsigned byte) {
        const char digits[] = "0123456789ABCDEF";
        return std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">";
    }
    TokenId add(const std::string& text, float score, std::int32_t type = 1) {
        scores.push_back(score);
        return vocabulary.add(text, type);
    }
    Result<std::shared_ptr<const Tokenizer>> create() const {
        GgufBuilder builder = vocabulary.gguf();
        if (has_scores) builder.array("tokenizer.ggml.scores", scores);
        for (const auto& [key, value] : flags) builder.key("tokenizer.ggml." + key, value);
        if (!name.empty()) builder.key("general.name", name);
        const ScratchFile file(builder.header());
        return Tokenizer::create(GgufFile::open(file.path()).value());
    }
    Ids encode(std::string_view text, Special special = Special::ignore) const {
        return create().value()->encode(text, special);
    }

    Vocabulary vocabulary;
    std::vector<float> scores;
    std::map<std::string, bool> flags;
    std::string name;
    bool has_scores = true;
};

}  // namespace kvasir::test
