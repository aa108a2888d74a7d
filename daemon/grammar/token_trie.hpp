// TokenTrie: every token of a vocabulary by its bytes, laid out in the order of a walk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/base/types.hpp"

namespace kvasir::grammar {

/// Made once a model; immutable. Tokens without bytes (control tokens) are not in it.
class TokenTrie {
public:
    struct Entry {
        std::uint32_t next = 0;         // the entry after everything below this one
        std::uint32_t first_token = 0;  // of those below and at this entry, in tokens()
        std::uint16_t depth = 0;        // bytes before this one
        std::uint8_t byte = 0;
        /// Where all that follows this byte in these tokens is plain characters, the last one maybe
        /// in part: how many at most; else kNotPlain.
        std::uint8_t n_plain = 0;
    };

    static constexpr std::uint8_t kNotPlain = 255;

    /// bytes: of each id; ends: ids that end a text, which are never part of one.
    /// Tokens longer than 64 KiB are left out. Throws std::bad_alloc only.
    static std::shared_ptr<const TokenTrie> create(std::vector<std::string> bytes,
                                                   std::vector<TokenId> ends);

    /// In preorder, with one more at the end to bound the last one's tokens.
    std::span<const Entry> entries() const { return entries_; }
    std::uint32_t n_entries() const { return static_cast<std::uint32_t>(entries_.size() - 1); }
    std::span<const TokenId> tokens() const { return tokens_; }
    std::uint32_t max_depth() const { return max_depth_; }
    std::uint32_t n_vocab() const { return static_cast<std::uint32_t>(bytes_.size()); }
    const std::string& bytes(TokenId id) const { return bytes_[id]; }
    std::span<const TokenId> ends() const { return ends_; }

private:
    TokenTrie() = default;

    std::vector<Entry> entries_;
    std::vector<TokenId> tokens_;
    std::vector<std::string> bytes_;  // (n_vocab); empty: never part of a text
    std::vector<TokenId> ends_;       // ascending
    std::uint32_t max_depth_ = 0;     // bytes of the longest token
};

}  // namespace kvasir::grammar
