// AttentionWindow: which pages a sequence still sees, where no layer sees all of them. Pure
// functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cache/page_pool.hpp"

namespace kvasir {

/// The token at position i sees the keys j < n_sinks and those with i - j < n_recent: of all layers
/// the widest.
///
///     pages   [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ][ 6 ]..     sinks in page 0, a window of three pages:
///               s                  w    w    w  ^       1 to 3 have rolled out of it
struct AttentionWindow {
    std::uint32_t n_sinks = 0;
    std::uint32_t n_recent = 0;         // at least 1, the token itself included
    std::uint32_t max_step_tokens = 1;  // of one sequence in one step
};

inline std::uint32_t n_sink_pages(const AttentionWindow& window) {
    return (window.n_sinks + kTokensPerPage - 1) / kTokensPerPage;
}

/// Of the pages after the sinks', the first that tokens from position n_tokens on see.
inline std::uint32_t first_page_in_window(const AttentionWindow& window, std::uint32_t n_tokens) {
    const std::uint64_t first_key =
        std::uint64_t{n_tokens} + 1 - std::min<std::uint64_t>(window.n_recent, n_tokens + 1ULL);
    const auto page = static_cast<std::uint32_t>(first_key / kTokensPerPage);
    return page <= n_sink_pages(window) ? 0 : page;
}

/// Whether a sequence that goes on at position n_tokens sees the page.
inline bool is_in_window(const AttentionWindow& window, std::uint32_t n_tokens,
                         std::uint32_t page) {
    return page < n_sink_pages(window) || page >= first_page_in_window(window, n_tokens);
}

/// Pages that a sequence holds at once however long it gets: the sinks', the window's, the step's,
/// one that the window has just left, and the last one in the tree.
inline std::uint32_t max_held_pages(const AttentionWindow& window) {
    const std::uint64_t n = std::uint64_t{n_sink_pages(window)} +
                            (std::uint64_t{window.n_recent} + kTokensPerPage - 2) / kTokensPerPage +
                            1 + (window.max_step_tokens + kTokensPerPage - 1) / kTokensPerPage + 1;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, 0xffffffffU));
}

}  // namespace kvasir
