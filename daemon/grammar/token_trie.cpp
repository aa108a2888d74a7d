#include "daemon/grammar/token_trie.hpp"

#include <algorithm>
#include <limits>

#include "daemon/grammar/plain_text.hpp"

namespace kvasir::grammar {

namespace {

/// How many plain characters stand from each byte on; kNotPlain where something else does.
std::vector<std::uint8_t> count_plain(const std::string& text) {
    std::vector<std::uint8_t> counts(text.size() + 1);
    for (std::size_t i = text.size(); i-- > 0;) {
        const std::size_t n = plain_character_bytes(std::string_view(text).substr(i));
        const std::uint8_t rest =
            n == 0 ? TokenTrie::kNotPlain : counts[std::min(i + n, text.size())];
        counts[i] = rest >= TokenTrie::kNotPlain - 1 ? TokenTrie::kNotPlain
                                                     : static_cast<std::uint8_t>(rest + 1);
    }
    return counts;
}

}  // namespace

std::shared_ptr<const TokenTrie> TokenTrie::create(std::vector<std::string> bytes,
                                                   std::vector<TokenId> ends) {
    const std::shared_ptr<TokenTrie> trie(new TokenTrie());
    std::sort(ends.begin(), ends.end());
    for (const TokenId id : ends) {
        if (id < bytes.size()) bytes[id].clear();
    }
    std::vector<TokenId> order;
    for (TokenId id = 0; id < bytes.size(); ++id) {
        if (bytes[id].size() > std::numeric_limits<std::uint16_t>::max()) bytes[id].clear();
        if (!bytes[id].empty()) order.push_back(id);
    }
    std::sort(order.begin(), order.end(), [&bytes](TokenId a, TokenId b) {
        return bytes[a] != bytes[b] ? bytes[a] < bytes[b] : a < b;
    });
    std::vector<std::uint32_t> open;  // entries whose end is not known yet, by depth
    const auto close = [&](std::size_t depth) {
        while (open.size() > depth) {
            trie->entries_[open.back()].next = static_cast<std::uint32_t>(trie->entries_.size());
            open.pop_back();
        }
    };
    const std::string* before = nullptr;
    for (const TokenId id : order) {
        const std::string& text = bytes[id];
        std::size_t n_common = 0;
        if (before != nullptr) {
            const auto [a, b] =
                std::mismatch(before->begin(), before->end(), text.begin(), text.end());
            n_common = static_cast<std::size_t>(b - text.begin());
        }
        close(n_common);
        for (std::size_t depth = n_common; depth < text.size(); ++depth) {
            open.push_back(static_cast<std::uint32_t>(trie->entries_.size()));
            trie->entries_.push_back(
                {.first_token = static_cast<std::uint32_t>(trie->tokens_.size()),
                 .depth = static_cast<std::uint16_t>(depth),
                 .byte = static_cast<std::uint8_t>(text[depth])});
        }
        trie->tokens_.push_back(id);
        const std::vector<std::uint8_t> n_plain = count_plain(text);
        for (std::size_t depth = 0; depth < text.size(); ++depth) {
            std::uint8_t& most = trie->entries_[open[depth]].n_plain;
            most = std::max(most, n_plain[depth + 1]);
        }
        trie->max_depth_ = std::max(trie->max_depth_, static_cast<std::uint32_t>(text.size()));
        before = &text;
    }
    close(0);
    trie->entries_.push_back({.next = static_cast<std::uint32_t>(trie->entries_.size()),
                              .first_token = static_cast<std::uint32_t>(trie->tokens_.size())});
    trie->bytes_ = std::move(bytes);
    trie->ends_ = std::move(ends);
    return trie;
}

}  // namespace kvasir::grammar
