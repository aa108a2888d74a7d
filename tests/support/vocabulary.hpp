// A byte-level vocabulary in memory: 256 byte tokens, token n for byte n, and what a test adds or
// breaks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/check.hpp"
#include "config/base/types.hpp"
#include "tests/support/gguf_builder.hpp"

namespace kvasir::test {

/// The character that stands for a byte: itself where printable in Latin-1, else the next from
/// U+0100.
inline std::string byte_text(unsigned byte) {
    unsigned character = byte;
    unsigned next = 256;
    for (unsigned b = 0; b <= byte; ++b) {
        const bool printable = (b > 32 && b < 127) || (b > 160 && b != 173);
        character = printable ? b : next++;
    }
    if (character < 128) return std::string(1, static_cast<char>(character));
    return {static_cast<char>(0xc0 | (character >> 6)), static_cast<char>(0x80 | (character & 63))};
}

struct Vocabulary {
    Vocabulary() : types(256, 1) {
        for (unsigned byte = 0; byte < 256; ++byte) tokens.push_back(byte_text(byte));
    }

    TokenId add(const std::string& text, std::int32_t type) {
        tokens.push_back(text);
        types.push_back(type);
        return static_cast<TokenId>(tokens.size() - 1);
    }
    void add_merge(const std::string& left, const std::string& right) {
        merges.push_back(left + " " + right);
        add(left + right, 1);
    }
    bool has(const std::string& text) const {
        return std::find(tokens.begin(), tokens.end(), text) != tokens.end();
    }
    TokenId id(const std::string& text) const {
        const auto found = std::find(tokens.begin(), tokens.end(), text);
        KVASIR_CHECK(found != tokens.end(), "the test's token is in its vocabulary");
        return static_cast<TokenId>(found - tokens.begin());
    }

    GgufBuilder gguf() const {
        GgufBuilder builder;
        add_to(builder);
        return builder;
    }
    void add_to(GgufBuilder& builder) const {
        const auto wanted = [this](const std::string& key) { return key != left_out; };
        if (wanted("tokenizer.ggml.model")) builder.key("tokenizer.ggml.model", model);
        if (wanted("tokenizer.ggml.pre")) builder.key("tokenizer.ggml.pre", pre);
        if (wanted("tokenizer.ggml.tokens")) builder.array("tokenizer.ggml.tokens", tokens);
        if (wanted("tokenizer.ggml.token_type")) builder.array("tokenizer.ggml.token_type", types);
        if (wanted("tokenizer.ggml.merges")) builder.array("tokenizer.ggml.merges", merges);
        for (const auto& [name, id] : ids) builder.key("tokenizer.ggml." + name + "_token_id", id);
        if (add_bos) builder.key("tokenizer.ggml.add_bos_token", *add_bos);
        if (add_eos) builder.key("tokenizer.ggml.add_eos_token", *add_eos);
    }

    std::string model = "gpt2";
    std::string pre = "gpt-2";
    std::vector<std::string> tokens;
    std::vector<std::int32_t> types;
    std::vector<std::string> merges;
    std::map<std::string, std::uint32_t> ids;  // "eos" -> id
    std::optional<bool> add_bos;
    std::optional<bool> add_eos;
    std::string left_out;  // a key not to write
};

}  // namespace kvasir::test
