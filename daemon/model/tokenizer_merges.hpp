// Byte-pair merging: the merge table and the loop that applies it.
#pragma once

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
};

/// Immutable: const members may be called from any thread, each with its own Scratch.
class BpeMerges {
public:
    BpeMerges() = default;
    /// by_rank: most wanted first; a pair given twice keeps its first rank. REQUIRES: ids <
    /// n_vocab.
    BpeMerges(std::uint32_t n_vocab, std::span<const BpeMerge> by_rank);

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
    /// fewer than 2^32 - 1 symbols.
    void apply(std::span<const TokenId> symbols, Scratch& scratch, std::vector<TokenId>& out) const;

private:
    struct Entry {
        TokenId right;
        std::uint32_t rank;
        TokenId merged;
    };
    const Entry* find(TokenId left, TokenId right) const;
    void push_candidate(Scratch& scratch, std::uint32_t position) const;

    std::vector<std::uint32_t> begins_;  // (n_vocab + 1): the entries of a left token
    std::vector<Entry>
        entries_;  // sorted by right within a left token; search cannot be made slow by any file
};

}  // namespace kvasir
