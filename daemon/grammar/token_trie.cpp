#include "daemon/grammar/token_trie.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace kvasir::grammar {

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
