// What a vocabulary does to a text before it is cut: spaces escaped, a prefix, Unicode's normal
// forms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

inline constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";  // U+2581

/// Immutable: const members may be called from any thread.
class TextNormalizer {
public:
    enum class Kind {
        prepend,        // `to`, where anything follows
        prepend_once,   // as prepend, unless the text starts with `to`
        prepend_first,  // as prepend_once, at the start of the whole text only
        replace,        // every `from` by `to`
        collapse,       // spaces in a row become one, at either end none
        nfc,
        nfd,
        nfkc,
        nfkd,
    };
    struct Step {
        Kind kind;
        std::string from;
        std::string to;
    };

    void add(Step step) { steps_.push_back(std::move(step)); }
    bool empty() const { return steps_.empty(); }
    /// Bytes that are no UTF-8 stay as they are. A run of more than 256 combining marks, which no
    /// language writes and which takes quadratic time to put in order, keeps its order.
    /// Throws std::bad_alloc only.
    std::string apply(std::string_view text, bool starts_text) const;

private:
    std::vector<Step> steps_;
};

/// Every `from` in text by `to`. REQUIRES: from is not empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace kvasir
