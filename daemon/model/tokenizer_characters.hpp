// Vocabularies whose tokens are written in characters (SentencePiece, and what was converted from
// it): characters merge, and one without a token falls back to the tokens of its bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/model/pre_tokenizer.hpp"
#include "daemon/model/tokenizer_encoder.hpp"
#include "daemon/model/tokenizer_merges.hpp"

namespace kvasir {

/// A character's UTF-8 bytes in one number. REQUIRES: 1 to 4 bytes.
std::uint32_t pack_character(std::string_view character);

/// What merging works on: a token, or from n_vocab on a character that has no token of its own but
/// that longer tokens are made of. The last one stands for every other character.
class CharacterSymbols {
public:
    explicit CharacterSymbols(std::uint32_t n_vocab = 0) : n_vocab_(n_vocab) {}
    /// A character given twice keeps its first token. REQUIRES: before any loose one.
    void add_token(std::string_view character, TokenId id);
    /// The symbol of a character, a new one if it has none.
    std::uint32_t add_loose(std::string_view character);

    std::uint32_t n_vocab() const { return n_vocab_; }
    std::uint32_t size() const { return other() + 1; }
    std::uint32_t other() const { return n_vocab_ + static_cast<std::uint32_t>(loose_.size()); }
    std::uint32_t find(std::string_view character) const;  // other() where there is none
    std::uint32_t loose(std::uint32_t symbol) const { return loose_[symbol - n_vocab_]; }

private:
    std::uint32_t n_vocab_;
    std::unordered_map<std::uint32_t, std::uint32_t> symbols_;  // packed character -> symbol
    std::vector<std::uint32_t> loose_;  // (symbol - n_vocab): packed character
};

class CharacterEncoder final : public TextEncoder {
public:
    enum class WholePieces { never, always, line_ends };
    struct Parts {
        CharacterSymbols symbols;
        BpeMerges merges;  // over symbols
        std::array<std::optional<TokenId>, 256> byte_tokens;
        std::optional<TokenId> unknown;             // REQUIRES: this one or every byte's token
        bool fuse_unknown = false;                  // unknown characters in a row are one token
        std::optional<PreTokenizer> pre_tokenizer;  // absent: a text is one piece
        WholePieces whole = WholePieces::never;     // which pieces, if a token, need no merging
        std::unordered_map<std::string_view, TokenId> whole_pieces;  // views outlive the encoder
    };
    explicit CharacterEncoder(Parts parts) : parts_(std::move(parts)) {}

    void encode(std::string_view text, std::vector<TokenId>& ids) const override;

private:
    struct Scratch;
    void encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const;
    void fall_back(std::string_view character, Scratch& scratch, std::vector<TokenId>& ids) const;
    bool is_taken_whole(std::string_view piece) const;

    Parts parts_;
};

}  // namespace kvasir
