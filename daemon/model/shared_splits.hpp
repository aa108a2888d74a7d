// Which sequences of a step read the beginning of their pages together. A pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cache/page_pool.hpp"

namespace kvasir {

///     a  [ s ][ s ][ t ][ u ]      {a, b, c} read split 0 together, {a, b} splits 1 and 2;
///     b  [ s ][ s ][ t ]           their own first splits are 3, 3 and 1
///     c  [ s ][ v ]
struct SharedSplits {
    std::uint32_t first_split = 0;
    std::uint32_t end_split = 0;
    std::vector<std::uint32_t> members;  // indices of sequences
};
struct SplitPlan {
    std::vector<SharedSplits> shared;
    std::vector<std::uint32_t> first_own;  // by sequence: splits before it are read together
};
/// pages: of each sequence the whole splits before its own page. n_least: fewer sequences read for
/// themselves; 0: all do. n_most: of one SharedSplits; more are dealt out evenly. most_listed:
/// members altogether; where that is reached, the rest read for themselves.
SplitPlan share_splits(std::span<const std::span<const PageId>> pages, std::uint32_t n_least,
                       std::uint32_t n_most, std::uint32_t most_listed);

}  // namespace kvasir
