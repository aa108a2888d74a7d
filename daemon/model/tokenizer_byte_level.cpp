#include "daemon/model/tokenizer_byte_level.hpp"

#include <array>

#include "daemon/model/utf8.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kNone = 256;

/// Printable Latin-1 characters stand for themselves; the other bytes follow in order from U+0100.
constexpr bool stands_for_itself(std::uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
    std::array<std::uint16_t, 256> character{};  // (byte) -> code point
    std::array<std::uint16_t, 512> byte{};       // (code point) -> byte, or kNone
};

constexpr Alphabet make_alphabet() {
    Alphabet alphabet;
    for (auto& byte : alphabet.byte) byte = kNone;
    std::uint32_t next = 256;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        const std::uint32_t character = stands_for_itself(byte) ? byte : next++;
        alphabet.character[byte] = static_cast<std::uint16_t>(character);
        alphabet.byte[character] = static_cast<std::uint16_t>(byte);
    }
    return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string byte_level_text(std::uint8_t byte) {
    const std::uint32_t character = kAlphabet.character[byte];
    if (character < 0x80) return {static_cast<char>(character)};
    return {static_cast<char>(0xC0 | (character >> 6)), static_cast<char>(0x80 | (character & 63))};
}

std::string byte_level_decode(std::string_view token_text) {
    std::string bytes;
    bytes.reserve(token_text.size());
    while (!token_text.empty()) {
        const Utf8Step step = utf8_step(token_text);
        const auto first = static_cast<unsigned char>(token_text[0]);
        std::uint32_t character = 512;
        if (step.kind == Utf8Step::Kind::character && step.n_bytes <= 2) {
            character = step.n_bytes == 1 ? first
                                          : ((first & 0x1FU) << 6) |
                                                (static_cast<unsigned char>(token_text[1]) & 0x3FU);
        }
        const std::uint32_t byte = character < 512 ? kAlphabet.byte[character] : kNone;
        if (byte != kNone) {
            bytes += static_cast<char>(byte);
        } else {
            bytes += token_text.substr(0, step.n_bytes);
        }
        token_text.remove_prefix(step.n_bytes);
    }
    return bytes;
}

}  // namespace kvasir
