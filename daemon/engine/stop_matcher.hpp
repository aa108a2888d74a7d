// StopMatcher: finds stop strings in generated text, wherever the pieces are cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

/// Passes text through, but holds back a tail while it may be the beginning of a stop string. The
/// stop that is complete first ends the text; of those complete at the same byte, the longest. So
/// the outcome depends on the text alone, not on its pieces. Released pieces end between characters
/// where the pushed ones and the stop strings do.
/// Holds at most the longest stop string. Time: pushed bytes x stop strings (Knuth-Morris-Pratt).
/// Not thread-safe.
class StopMatcher {
public:
    struct Released {
        std::string text;      // safe to send
        bool stopped = false;  // a stop string was found; it and what followed it are not in text
    };

    /// Empty strings are ignored: they would stop every text.
    explicit StopMatcher(const std::vector<std::string>& stops);

    /// After a stop: no text, and stopped again.
    Released push(std::string_view piece);

    /// What is held back, when no more text comes. Empty after a stop.
    std::string finish();

private:
    struct Pattern {
        std::string text;
        std::vector<std::size_t> border;  // (text.size()), longest proper border of text[0..i]
        std::size_t n_matched = 0;        // longest prefix of text that the stream ends with
    };

    /// True when the byte completes the pattern.
    static bool advance(Pattern& pattern, char byte);

    std::vector<Pattern> patterns_;
    std::string held_;
    bool stopped_ = false;
};

}  // namespace kvasir
