// Plain characters: those that stand for themselves in a JSON string, which is where most of a
// vocabulary is allowed. Branches of the trie that hold nothing else are taken as a whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvasir::grammar {

constexpr bool is_plain_ascii(unsigned byte) {
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/// The well-formed lengths and second bytes of characters beyond ASCII, by their first byte.
/// Source: The Unicode Standard, table 3-7.
struct Utf8Lead {
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    std::uint8_t n_more = 0;
    std::uint8_t second_low = 0x80;
    std::uint8_t second_high = 0xbf;
};
inline constexpr std::array<Utf8Lead, 8> kUtf8Leads{{{0xc2, 0xdf, 1},
                                                     {0xe0, 0xe0, 2, 0xa0, 0xbf},
                                                     {0xe1, 0xec, 2},
                                                     {0xed, 0xed, 2, 0x80, 0x9f},
                                                     {0xee, 0xef, 2},
                                                     {0xf0, 0xf0, 3, 0x90, 0xbf},
                                                     {0xf1, 0xf3, 3},
                                                     {0xf4, 0xf4, 3, 0x80, 0x8f}}};

/// Bytes of the plain character that text begins with, of which the text may have only some; 0: it
/// begins with none. REQUIRES: text is not empty.
constexpr std::size_t plain_character_bytes(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (is_plain_ascii(byte(0))) return 1;
    for (const Utf8Lead& lead : kUtf8Leads) {
        if (byte(0) < lead.low || byte(0) > lead.high) continue;
        for (std::size_t i = 1; i <= lead.n_more && i < text.size(); ++i) {
            if (byte(i) < (i == 1 ? lead.second_low : 0x80)) return 0;
            if (byte(i) > (i == 1 ? lead.second_high : 0xbf)) return 0;
        }
        return lead.n_more + 1U;
    }
    return 0;
}

}  // namespace kvasir::grammar
