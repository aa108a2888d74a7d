#include "daemon/model/utf8.hpp"

namespace kvasir {

Utf8Step utf8_step(std::string_view text) {
    using Kind = Utf8Step::Kind;
    const auto byte_at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte_at(0);
    if (lead < 0x80) return {Kind::character, 1};
    if (lead < 0xC2 || lead > 0xF4) return {Kind::invalid, 1};
    const std::size_t n_bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
    const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (std::size_t i = 1; i < n_bytes; ++i) {
        if (i == text.size()) return {Kind::incomplete, i};
        const unsigned char next = byte_at(i);
        const bool fits = i == 1 ? next >= low && next <= high : next >= 0x80 && next <= 0xBF;
        if (!fits) return {Kind::invalid, i};
    }
    return {Kind::character, n_bytes};
}

}  // namespace kvasir
