// Text <-> token ids, from the vocabulary a model file carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"

namespace kvasir {

class GgufFile;

/// What a tokenizer.json leaves to the files beside it: config.json, tokenizer_config.json.
struct TokenizerConfig {
    std::optional<TokenId> bos;
    std::vector<TokenId> ends;  // eos_token_id: one or several
    std::optional<bool> add_bos;
    // The same as texts, which win: bos_token, eos_token.
    std::optional<std::string> bos_text;
    std::optional<std::string> end_text;
    bool has_no_bos = false;  // bos_token: null
    /// Rows of the embedding: added tokens beyond them, which no model can read, are left out.
    std::optional<std::uint32_t> n_rows;
};

/// Immutable after create: const members may be called from any thread.
class Tokenizer {
public:
    /// Errors: corrupt (tokens, merges, types of different or absurd counts; ids beyond the
    /// vocabulary), unsupported (tokenizer.ggml.model or .pre unknown; unigram vocabularies, `t5`).
    /// Keeps nothing of the file.
    static Result<std::shared_ptr<const Tokenizer>> create(const GgufFile& file);
    /// From a Hugging Face tokenizer.json: BPE over bytes or over characters with byte fallback.
    /// Errors: io, too_large, corrupt, unsupported (naming the component that is unknown).
    static Result<std::shared_ptr<const Tokenizer>> create_from_json(
        std::span<const std::byte> bytes, const TokenizerConfig& config);
    static Result<std::shared_ptr<const Tokenizer>> create_from_json(
        const std::filesystem::path& path, const TokenizerConfig& config);
    ~Tokenizer();

    enum class Special { ignore, parse };  // parse: `<|im_end|>` in the text becomes its one id
    /// Adds no special tokens of its own. Any bytes are accepted; invalid UTF-8 becomes its byte
    /// tokens, and what has no token the unknown token or else U+FFFD. User-defined tokens are
    /// found in either mode, control tokens (and what poses as one: user-defined `<|...|>`) only
    /// with parse. A vocabulary with a leading space puts it before the text and after every such
    /// token. O(n log n). Throws std::bad_alloc only.
    std::vector<TokenId> encode(std::string_view text, Special special) const;

    /// The bytes a token stands for; empty for special tokens unless asked. REQUIRES: id <
    /// n_vocab().
    std::string token_bytes(TokenId id, bool with_special = false) const;
    /// The text of all these; the leading space that encode would have added is gone.
    std::string decode(std::span<const TokenId> ids, bool with_special = false) const;

    std::uint32_t n_vocab() const;
    std::optional<TokenId> find_special(std::string_view text) const;  // e.g. "<|im_start|>"
    std::optional<TokenId> bos() const;
    bool add_bos() const;  // whether the model wants its bos before a prompt
    /// What the model wants behind a text that is complete, as one to embed is; most want nothing.
    std::optional<TokenId> text_end() const;
    /// eos, eot, eom and every end-of-turn token the vocabulary knows (`<|im_end|>`, `<|eot_id|>`,
    /// ...).
    bool is_end_of_generation(TokenId id) const;

private:
    struct Impl;
    class Loader;
    class JsonLoader;
    explicit Tokenizer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Turns a stream of ids into whole UTF-8 characters; never splits one, not where every byte is a
/// token of its own either. The stream continues a text: a leading space is part of it.
class IncrementalDetokenizer {
public:
    /// shown: special tokens that are written out; others are not.
    explicit IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                    std::vector<TokenId> shown = {});
    /// The characters completed by this token; bytes that can no longer become a character turn
    /// into U+FFFD.
    std::string push(TokenId id);
    /// What is left, incomplete bytes as U+FFFD.
    std::string finish();

private:
    std::shared_ptr<const Tokenizer> tokenizer_;
    std::vector<TokenId> shown_;
    std::string pending_;  // at most 3 bytes: the start of a character
};

}  // namespace kvasir
