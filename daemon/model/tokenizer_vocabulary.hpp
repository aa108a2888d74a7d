// The tokens of a vocabulary: what each stands for, and what the loaders of every file share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/types.hpp"
#include "daemon/model/tokenizer_merges.hpp"

namespace kvasir {

inline constexpr std::size_t kMaxVocab = std::size_t{1} << 21;
inline constexpr std::size_t kMaxMerges = std::size_t{1} << 23;
inline constexpr std::size_t kMaxTokenBytes = 4096;  // of a token's text

enum class TokenKind : std::uint8_t {
    text,     // made by merging
    written,  // user-defined text, matched as it stands
    byte,     // one byte, where a character has no token
    control,
    unused,
};

// Source: llama_token_type, as tokenizer.ggml.token_type stores it.
inline constexpr std::int64_t kTypeUnknown = 2;
inline constexpr std::int64_t kTypeControl = 3;
inline constexpr std::int64_t kTypeUserDefined = 4;
inline constexpr std::int64_t kTypeUnused = 5;
inline constexpr std::int64_t kTypeByte = 6;

/// Some files mark their control tokens as user-defined or even as normal ones. Taking those at
/// their word would let any message end a turn or begin one.
TokenKind kind_of(std::string_view text, std::int64_t type);

/// Whether a token of this name ends a turn or a text.
bool is_end_name(std::string_view text);

/// The byte that `<0x0A>` stands for.
std::optional<std::uint8_t> find_named_byte(std::string_view text);

class TokenTable {
public:
    void reserve(std::size_t n_tokens);
    void add(std::string_view bytes, TokenKind kind, bool is_end);
    void set_end(TokenId id) { is_end_[id] = true; }

    std::uint32_t size() const { return static_cast<std::uint32_t>(kinds_.size()); }
    TokenKind kind(TokenId id) const { return kinds_[id]; }
    bool is_end(TokenId id) const { return is_end_[id]; }
    std::string_view bytes(TokenId id) const {
        return std::string_view(bytes_).substr(begins_[id], begins_[id + 1] - begins_[id]);
    }

private:
    std::string bytes_;                      // of every token, one after the other
    std::vector<std::size_t> begins_ = {0};  // (size() + 1)
    std::vector<TokenKind> kinds_;           // (size())
    std::vector<bool> is_end_;               // (size()): ends generation
};

/// What a token is written as -> the token. Views into the file.
using Words = std::unordered_map<std::string_view, TokenId>;

/// Collects merges given as pairs of words, most wanted first. One that names no token, or makes
/// none, is skipped: vocabularies that were cut down keep the merges of what is gone.
class MergeList {
public:
    explicit MergeList(const Words& words) : words_(words) {}
    void add(std::string_view left, std::string_view right);
    /// "left right". Errors: corrupt (not two words with a space between).
    Result<> add(std::string_view line);
    BpeMerges build(std::uint32_t n_symbols) const { return {n_symbols, merges_}; }

private:
    const Words& words_;
    std::vector<BpeMerge> merges_;
    std::uint32_t n_seen_ = 0;
    std::string joined_;
};

/// Every byte's token in a byte-level vocabulary. Real ones lack some bytes (Falcon's: control
/// characters). Those become the unknown token or, without one, U+FFFD: replaced, never dropped.
/// Errors: corrupt (none of these).
Result<std::array<std::vector<TokenId>, 256>> map_bytes(const Words& words,
                                                        std::optional<TokenId> unknown);

}  // namespace kvasir
