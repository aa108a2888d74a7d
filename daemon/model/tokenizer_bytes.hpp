// Byte-level BPE: a text is cut by the pre-tokenizer, a piece's bytes become tokens, those merge.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/model/pre_tokenizer.hpp"
#include "daemon/model/tokenizer_encoder.hpp"
#include "daemon/model/tokenizer_merges.hpp"

namespace kvasir {

class ByteEncoder final : public TextEncoder {
public:
    struct Parts {
        PreTokenizer pre_tokenizer;
        std::array<std::vector<TokenId>, 256> byte_tokens;  // (byte): one token, or a substitute
        BpeMerges merges;
        std::unordered_map<std::string_view, TokenId>
            whole_pieces;  // pieces that need no merging; views outlive the encoder
    };
    explicit ByteEncoder(Parts parts) : parts_(std::move(parts)) {}

    void encode(std::string_view text, std::vector<TokenId>& ids) const override;

private:
    Parts parts_;
};

}  // namespace kvasir
