// What a Tokenizer holds; filled by tokenizer_load.cpp, read by tokenizer.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/model/pre_tokenizer.hpp"
#include "daemon/model/tokenizer.hpp"
#include "daemon/model/tokenizer_merges.hpp"
#include "daemon/model/tokenizer_special.hpp"

namespace kvasir {

struct Tokenizer::Impl {
    explicit Impl(PreTokenizer pre) : pre_tokenizer(std::move(pre)) {}

    std::string_view bytes_of(TokenId id) const {
        return std::string_view(bytes).substr(byte_begins[id],
                                              byte_begins[id + 1] - byte_begins[id]);
    }

    PreTokenizer pre_tokenizer;
    std::uint32_t n_vocab = 0;
    std::string bytes;                     // what every token stands for, one after the other
    std::vector<std::size_t> byte_begins;  // (n_vocab + 1)
    std::vector<bool> is_control;          // (n_vocab)
    std::vector<bool> is_end;              // (n_vocab): ends generation
    std::array<std::vector<TokenId>, 256> byte_tokens;  // (byte): one token, or a substitute
    BpeMerges merges;
    SpecialTokens specials;
    std::unordered_map<std::string_view, TokenId>
        whole_pieces;  // views into bytes; with whole_piece_first only
    std::optional<TokenId> bos;
    bool add_bos = false;
};

}  // namespace kvasir
