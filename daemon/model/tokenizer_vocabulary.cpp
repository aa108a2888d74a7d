#include "daemon/model/tokenizer_vocabulary.hpp"

#include <algorithm>

#include "daemon/model/tokenizer_byte_level.hpp"
#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

/// Tokens that end a turn or a text, as model families name them.
constexpr std::string_view kEndNames[] = {
    "<|endoftext|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|eot|>",
    "<|return|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "<|END_OF_TURN_TOKEN|>",
    "</s>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
    "<turn|>",
    "[EOT]",
    "[EOS]",
};

}  // namespace

bool is_end_name(std::string_view text) {
    return std::find(std::begin(kEndNames), std::end(kEndNames), text) != std::end(kEndNames);
}

TokenKind kind_of(std::string_view text, std::int64_t type) {
    const bool bracketed = text.size() > 4 && text.starts_with("<|") && text.ends_with("|>");
    switch (type) {
        case kTypeUnknown:
        case kTypeControl: return TokenKind::control;
        case kTypeUserDefined:
            return bracketed || is_end_name(text) ? TokenKind::control : TokenKind::written;
        case kTypeUnused: return TokenKind::unused;
        default: return bracketed && is_end_name(text) ? TokenKind::control : TokenKind::text;
    }
}

std::optional<std::uint8_t> find_named_byte(std::string_view text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
    std::uint32_t byte = 0;
    for (const char c : text.substr(3, 2)) {
        const bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'A' || c > 'F')) return std::nullopt;
        byte = byte * 16 + static_cast<std::uint32_t>(is_digit ? c - '0' : c - 'A' + 10);
    }
    return static_cast<std::uint8_t>(byte);
}

void TokenTable::reserve(std::size_t n_tokens) {
    begins_.reserve(n_tokens + 1);
    kinds_.reserve(n_tokens);
    is_end_.reserve(n_tokens);
}

void TokenTable::add(std::string_view bytes, TokenKind kind, bool is_end) {
    bytes_ += bytes;
    begins_.push_back(bytes_.size());
    kinds_.push_back(kind);
    is_end_.push_back(is_end);
}

void MergeList::add(std::string_view left, std::string_view right) {
    const std::uint32_t rank = n_seen_++;
    if (left.size() + right.size() > kMaxTokenBytes) return;  // longer than any token
    const auto left_id = words_.find(left);
    if (left_id == words_.end()) return;
    const auto right_id = words_.find(right);
    if (right_id == words_.end()) return;
    (joined_ = left) += right;
    const auto merged = words_.find(joined_);
    if (merged == words_.end()) return;
    merges_.push_back({left_id->second, right_id->second, merged->second, rank});
}

Result<> MergeList::add(std::string_view line) {
    const std::size_t space = line.find(' ', 1);
    if (line.empty() || space == std::string_view::npos || space + 1 == line.size()) {
        return Error{ErrorCode::corrupt,
                     "merge " + std::to_string(n_seen_) + " is not two words with a space between"};
    }
    add(line.substr(0, space), line.substr(space + 1));
    return {};
}

Result<std::array<std::vector<TokenId>, 256>> map_bytes(const Words& words,
                                                        std::optional<TokenId> unknown) {
    const auto find_byte = [&words](std::uint32_t byte) {
        const auto found = words.find(byte_level_text(static_cast<std::uint8_t>(byte)));
        return found == words.end() ? std::nullopt : std::optional(found->second);
    };
    std::vector<TokenId> substitute;
    if (unknown) {
        substitute = {*unknown};
    } else {
        for (const char byte : kReplacementCharacter) {
            if (const auto id = find_byte(static_cast<std::uint8_t>(byte)))
                substitute.push_back(*id);
        }
        if (substitute.size() != kReplacementCharacter.size()) substitute.clear();
    }
    std::array<std::vector<TokenId>, 256> tokens;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        const auto id = find_byte(byte);
        tokens[byte] = id ? std::vector{*id} : substitute;
        if (tokens[byte].empty()) {
            return Error{ErrorCode::corrupt,
                         "no token for byte " + std::to_string(byte) +
                             ", and neither an unknown token nor U+FFFD to stand in"};
        }
    }
    return tokens;
}

}  // namespace kvasir
