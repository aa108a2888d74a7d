#include "daemon/model/tokenizer_characters.hpp"

#include <algorithm>
#include <string>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

std::string unpack_character(std::uint32_t packed) {
    std::string character;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const auto byte = static_cast<char>((packed >> shift) & 0xFF);
        if (byte != 0 || !character.empty()) character += byte;
    }
    return character.empty() ? std::string(1, '\0') : character;
}

}  // namespace

std::uint32_t pack_character(std::string_view character) {
    std::uint32_t packed = 0;
    for (const char byte : character) packed = (packed << 8) | static_cast<unsigned char>(byte);
    return packed;
}

void CharacterSymbols::add_token(std::string_view character, TokenId id) {
    symbols_.emplace(pack_character(character), id);
}

std::uint32_t CharacterSymbols::add_loose(std::string_view character) {
    const std::uint32_t packed = pack_character(character);
    const auto [found, is_new] = symbols_.try_emplace(packed, other());
    if (is_new) loose_.push_back(packed);
    return found->second;
}

std::uint32_t CharacterSymbols::find(std::string_view character) const {
    const auto found = symbols_.find(pack_character(character));
    return found == symbols_.end() ? other() : found->second;
}

struct CharacterEncoder::Scratch {
    std::vector<std::uint32_t> symbols;
    std::vector<std::string_view> others;  // what each other() among symbols stands for, in order
    std::vector<std::uint32_t> merged;
    BpeMerges::Scratch merging;
    bool ends_unknown = false;  // the last id is an unknown character's
};

void CharacterEncoder::fall_back(std::string_view character, Scratch& scratch,
                                 std::vector<TokenId>& ids) const {
    const auto token_of = [this](char byte) {
        return parts_.byte_tokens[static_cast<unsigned char>(byte)];
    };
    const bool has_bytes = std::all_of(character.begin(), character.end(),
                                       [&](char byte) { return token_of(byte).has_value(); });
    if (has_bytes) {
        for (const char byte : character) ids.push_back(*token_of(byte));
    } else if (!scratch.ends_unknown || !parts_.fuse_unknown) {
        ids.push_back(*parts_.unknown);
    }
    scratch.ends_unknown = !has_bytes;
}

bool CharacterEncoder::is_taken_whole(std::string_view piece) const {
    return parts_.whole == WholePieces::always ||
           (parts_.whole == WholePieces::line_ends &&
            piece.find_first_not_of('\n') == std::string_view::npos);
}

void CharacterEncoder::encode_piece(std::string_view piece, Scratch& scratch,
                                    std::vector<TokenId>& ids) const {
    if (is_taken_whole(piece)) {
        const auto whole = parts_.whole_pieces.find(piece);
        if (whole != parts_.whole_pieces.end()) {
            ids.push_back(whole->second);
            return;
        }
    }
    const std::uint32_t other = parts_.symbols.other();
    scratch.symbols.clear();
    scratch.others.clear();
    scratch.merged.clear();
    scratch.ends_unknown = false;
    while (!piece.empty()) {
        const Utf8Step step = utf8_step(piece);
        const std::string_view character = piece.substr(0, step.n_bytes);
        const bool is_whole = step.kind == Utf8Step::Kind::character;
        scratch.symbols.push_back(is_whole ? parts_.symbols.find(character) : other);
        if (scratch.symbols.back() == other) scratch.others.push_back(character);
        piece.remove_prefix(step.n_bytes);
    }
    parts_.merges.apply(scratch.symbols, scratch.merging, scratch.merged);
    std::size_t n_others = 0;
    for (const std::uint32_t symbol : scratch.merged) {
        if (symbol < parts_.symbols.n_vocab()) {
            ids.push_back(symbol);
            scratch.ends_unknown = false;
        } else if (symbol == other) {
            fall_back(scratch.others[n_others++], scratch, ids);
        } else {
            fall_back(unpack_character(parts_.symbols.loose(symbol)), scratch, ids);
        }
    }
}

void CharacterEncoder::encode(std::string_view text, std::vector<TokenId>& ids) const {
    Scratch scratch;
    std::vector<std::string_view> pieces{text};
    if (parts_.pre_tokenizer) {
        pieces.clear();
        parts_.pre_tokenizer->split(text, pieces);
    }
    for (std::string_view piece : pieces) {
        while (piece.size() > BpeMerges::kMaxSymbols) {
            encode_piece(piece.substr(0, BpeMerges::kMaxSymbols), scratch, ids);
            piece.remove_prefix(BpeMerges::kMaxSymbols);
        }
        encode_piece(piece, scratch, ids);
    }
}

}  // namespace kvasir
