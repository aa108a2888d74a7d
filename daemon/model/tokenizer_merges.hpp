// Byte-pair merging: the merge table and the loop that applies it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "config/base/types.hpp"

namespace kvasir {

struct BpeMerge {
    TokenId left;
    TokenId right;
    TokenId merged;
    std::uint32_t rank;  // the lowest is wanted most; several may share one
};

/// Immutable: const members may be called from any thread, each with its own Scratch.
class BpeMerges {
public:
    BpeMerges() = default;
    static constexpr std::size_t kMaxSymbols = std::size_t{1} << 30;

    /// A pair given twice keeps its lowest rank. REQUIRES: ids < n_symbols.
    BpeMerges(std::uint32_t n_symbols, std::span<const BpeMerge> merges);

    struct Symbol {
        TokenId id;
        std::uint32_t previous;
        std::uint32_t next;
    };
    struct Candidate {
        std::uint32_t rank;
        std::uint32_t position;  // of the left symbol
        TokenId left;
        TokenId right;
        TokenId merged;
    };
    struct Scratch {
        std::vector<Symbol> symbols;
        std::vector<Candidate> heap;
    };

    /// Merges the lowest rank first, the leftmost where ranks are equal, until nothing merges;
    /// appends the result to out. O(n log n): a prompt may be a megabyte without a space. REQUIRES:
    /// at most kMaxSymbols.
    void apply(std::span<const TokenId> symbols, Scratch& scratch, std::vector<TokenId>& out) const;

private:
    struct Entry {
        TokenId right;
        std::uint32_t rank;
        TokenId merged;
    };
    const Entry* find(TokenId left, TokenId right) const;
    void push_candidate(Scratch& scratch, std::uint32_t position) const;

    std::vector<std::uint32_t> begins_;  // (n_symbols + 1): the entries of a left token
    std::vector<Entry>
        entries_;  // sorted by right within a left token; search cannot be made slow by any file
};

}  // namespace kvasir
