#include "daemon/model/tokenizer_bytes.hpp"

namespace kvasir {

void ByteEncoder::encode(std::string_view text, std::vector<TokenId>& ids) const {
    std::vector<std::string_view> pieces;
    std::vector<TokenId> symbols;
    BpeMerges::Scratch scratch;
    const auto encode_piece = [&](std::string_view piece) {
        if (const auto whole = parts_.whole_pieces.find(piece);
            whole != parts_.whole_pieces.end()) {
            ids.push_back(whole->second);
            return;
        }
        symbols.clear();
        for (const char byte : piece) {
            const auto& tokens = parts_.byte_tokens[static_cast<unsigned char>(byte)];
            symbols.insert(symbols.end(), tokens.begin(), tokens.end());
        }
        parts_.merges.apply(symbols, scratch, ids);
    };
    parts_.pre_tokenizer.split(text, pieces);
    for (std::string_view piece : pieces) {
        for (; piece.size() > BpeMerges::kMaxSymbols; piece.remove_prefix(BpeMerges::kMaxSymbols))
            encode_piece(piece.substr(0, BpeMerges::kMaxSymbols));
        encode_piece(piece);
    }
}

}  // namespace kvasir
