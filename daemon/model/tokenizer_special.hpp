// Finds the tokens that are written out in a text, such as <|im_start|>.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/types.hpp"

namespace kvasir {

/// A trie over bytes. Const members may be called from any thread.
class SpecialTokens {
public:
    /// Whether the white space beside a token in a text belongs to it, and goes.
    struct Strip {
        bool left = false;
        bool right = false;
    };
    /// A text added twice keeps its first id. REQUIRES: text is not empty.
    void add(std::string_view text, TokenId id, bool is_control, Strip strip);

    struct Match {
        TokenId id;
        std::size_t n_bytes;
        Strip strip;
    };
    /// The longest that text starts with; control tokens only if wanted.
    std::optional<Match> match(std::string_view text, bool with_control) const;
    std::optional<TokenId> find(std::string_view text) const;

private:
    struct Node {
        std::optional<TokenId> id;
        bool is_control = false;
        Strip strip;
    };
    std::optional<std::uint32_t> child(std::uint32_t node, char byte) const;

    std::array<bool, 256> starts_{};  // (byte): most bytes of a text start no token
    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::unordered_map<std::uint64_t, std::uint32_t> children_;  // node << 8 | byte -> node
};

}  // namespace kvasir
