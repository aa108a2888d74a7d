// Groups: which domains' pages are counted together, and what each group is promised and allowed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvasir {

/// A listed domain with its salted sub-domains; or all unlisted domains, which split one budget; or
/// the common prefixes.
enum class GroupId : std::uint32_t {};
constexpr GroupId kUnlistedGroup{0};
constexpr GroupId kCommonGroup{1};
constexpr std::uint32_t kFirstListedGroup = 2;
constexpr std::size_t to_index(GroupId group) {
    return static_cast<std::size_t>(group);
}

constexpr std::uint32_t kNoCap = 0xffffffffU;

/// Device pages. REQUIRES: reserve <= cap.
struct GroupLimits {
    std::uint32_t reserve = 0;  // the group's for the asking: others do not push it below
    std::uint32_t cap = kNoCap;
};

}  // namespace kvasir
