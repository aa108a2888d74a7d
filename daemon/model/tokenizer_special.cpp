#include "daemon/model/tokenizer_special.hpp"

namespace kvasir {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
    return (std::uint64_t{node} << 8) | static_cast<unsigned char>(byte);
}

}  // namespace

void SpecialTokens::add(std::string_view text, TokenId id, bool is_control, Strip strip) {
    starts_[static_cast<unsigned char>(text.front())] = true;
    std::uint32_t node = 0;
    for (const char byte : text) {
        const auto next = static_cast<std::uint32_t>(nodes_.size());
        const auto [found, is_new] = children_.try_emplace(edge(node, byte), next);
        if (is_new) nodes_.emplace_back();
        node = found->second;
    }
    if (!nodes_[node].id) nodes_[node] = {id, is_control, strip};
}

std::optional<std::uint32_t> SpecialTokens::child(std::uint32_t node, char byte) const {
    const auto found = children_.find(edge(node, byte));
    if (found == children_.end()) return std::nullopt;
    return found->second;
}

std::optional<SpecialTokens::Match> SpecialTokens::match(std::string_view text,
                                                         bool with_control) const {
    std::optional<Match> longest;
    if (text.empty() || !starts_[static_cast<unsigned char>(text.front())]) return longest;
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto next = child(node, text[i]);
        if (!next) break;
        node = *next;
        const Node& here = nodes_[node];
        if (here.id && (with_control || !here.is_control))
            longest = Match{*here.id, i + 1, here.strip};
    }
    return longest;
}

std::optional<TokenId> SpecialTokens::find(std::string_view text) const {
    std::uint32_t node = 0;
    for (const char byte : text) {
        const auto next = child(node, byte);
        if (!next) return std::nullopt;
        node = *next;
    }
    return nodes_[node].id;
}

}  // namespace kvasir
