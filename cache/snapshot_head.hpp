// A snapshot's head as bytes, decompressed. Only snapshot.cpp needs this.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cache/snapshot.hpp"

namespace kvasir {

constexpr std::uint64_t kHeadBytesPerPage = 4 + 4 * kTokensPerPage + 8 + 4 + 8;

/// places: of head.pages, in order.
std::vector<std::byte> to_bytes(const SnapshotHead& head, std::span<const SnapshotPlace> places);

/// Every count, index and place is checked: what it returns without an error can be used as it is.
/// Errors: corrupt.
Result<> parse_head(std::span<const std::byte> bytes, const std::string& subject,
                    const SnapshotEnd& end, SnapshotHead& head, std::vector<SnapshotPlace>& places);

}  // namespace kvasir
