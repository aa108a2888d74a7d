// Text <-> token ids, from the vocabulary a model file carries.
#pragma once

#include <cstdint>
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

/// Immutable after create: const members may be called from any thread.
class Tokenizer {
public:
    /// Errors: corrupt (tokens, merges, types of different or absurd counts; ids beyond the
    /// vocabulary), unsupported (tokenizer.ggml.model or .pre unknown). Keeps nothing of the file.
    static Result<std::shared_ptr<const Tokenizer>> create(const GgufFile& file);
    ~Tokenizer();

    enum class Special { ignore, parse };  // parse: `<|im_end|>` in the text becomes its one id
    /// Adds no special tokens of its own. Any bytes are accepted; invalid UTF-8 becomes its byte
    /// tokens, and a byte without a token the unknown token or else U+FFFD. User-defined tokens are
    /// found in either mode, control tokens (and what poses as one: user-defined `<|...|>`) only
    /// with parse. O(n log n). Throws std::bad_alloc only.
    std::vector<TokenId> encode(std::string_view text, Special special) const;

    /// The bytes a token stands for; empty for special tokens unless asked. REQUIRES: id <
    /// n_vocab().
    std::string token_bytes(TokenId id, bool with_special = false) const;
    std::string decode(std::span<const TokenId> ids, bool with_special = false) const;

    std::uint32_t n_vocab() const;
    std::optional<TokenId> find_special(std::string_view text) const;  // e.g. "<|im_start|>"
    std::optional<TokenId> bos() const;
    bool add_bos() const;  // whether the model wants its bos before a prompt
    /// eos, eot, eom and every end-of-turn token the vocabulary knows (`<|im_end|>`, `<|eot_id|>`,
    /// ...).
    bool is_end_of_generation(TokenId id) const;

private:
    struct Impl;
    class Loader;
    explicit Tokenizer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Turns a stream of ids into whole UTF-8 characters; never splits one.
class IncrementalDetokenizer {
public:
    explicit IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer);
    /// The characters completed by this token; bytes that can no longer become a character turn
    /// into U+FFFD.
    std::string push(TokenId id);
    /// What is left, incomplete bytes as U+FFFD.
    std::string finish();

private:
    std::shared_ptr<const Tokenizer> tokenizer_;
    std::string pending_;  // at most 3 bytes: the start of a character
};

}  // namespace kvasir
