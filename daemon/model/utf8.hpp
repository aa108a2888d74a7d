// UTF-8, one character at a time, over bytes that may be anything.
#pragma once

#include <cstddef>
#include <string_view>

namespace kvasir {

struct Utf8Step {
    enum class Kind {
        character,   // n_bytes are one character
        invalid,     // n_bytes can be no part of any character: one U+FFFD
        incomplete,  // the text ends inside a character, n_bytes of it are here
    };
    Kind kind;
    std::size_t n_bytes;  // 1 to 4
};

/// What text starts with. REQUIRES: text is not empty.
/// An invalid step is a maximal subpart. Source: The Unicode Standard, table 3-7 and section 3.9.
Utf8Step utf8_step(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace kvasir
