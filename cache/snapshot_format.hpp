// Snapshots: the pages that one holder keeps, as a file. This is the layout; snapshot.hpp reads and
// writes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/holders.hpp"
#include "cache/page_pool.hpp"
#include "config/base/types.hpp"

namespace kvasir {

/// 128 bits that stand for something too long to compare: a model's numerics, a domain.
using Fingerprint = std::array<std::byte, 16>;

//   offset  bytes
//   0       8      kSnapshotMagic
//   8       4      kSnapshotVersion
//   12      4      0
//   16             pages: zstd frames of page_bytes each, parents before children; none of those
//                  that are absent
//   H       h      head: a zstd frame of the struct below, little-endian
//   end-64  8      H
//   end-56  4      h
//   end-52  4      bytes of the head, decompressed
//   end-48  8      XXH3 of the head as stored
//   end-40  4      number of pages, absent ones included
//   end-36  4      kSnapshotVersion
//   end-32  8      expires at, wall clock ms; UINT64_MAX: never
//   end-24  8      bytes of the file
//   end-16  8      XXH3 of the first 16 bytes and of the footer up to here
//   end-8   8      kSnapshotEnd
//
// The end is written last, then the file is synced and renamed: a file with a sound end was
// finished. The head has each page's place and XXH3 (seeded with its index), so a page can be read
// alone, and none is trusted unread. All integers little-endian.
inline constexpr std::array<char, 8> kSnapshotMagic = {'k', 'v', 'a', 's', 'i', 'r', 'K', 'V'};
inline constexpr std::array<char, 8> kSnapshotEnd = {'V', 'K', 'r', 'i', 's', 'a', 'v', 'k'};
inline constexpr std::uint32_t kSnapshotVersion = 2;
inline constexpr std::uint64_t kSnapshotStartBytes = 16;
inline constexpr std::uint64_t kSnapshotEndBytes = 64;
/// An absent page takes no bytes of its own, so the file's size says nothing of their number.
inline constexpr std::uint32_t kMostAbsentPages = 1U << 18U;  // eight million tokens

/// One page's identity: its tokens after its parent's.
struct SnapshotPage {
    static constexpr std::uint32_t kNoParent = 0xffffffffU;
    std::uint32_t parent = kNoParent;  // index of a page before this one
    std::array<TokenId, kTokensPerPage> tokens{};
    /// Outside the window of what follows, and given up before it was saved: only its tokens are
    /// known.
    bool is_absent = false;
    bool operator==(const SnapshotPage&) const = default;
};

struct SnapshotBranch {
    std::uint32_t tip = SnapshotPage::kNoParent;  // index of its last page; kNoParent: none
    std::string context;
    bool operator==(const SnapshotBranch&) const = default;
};

/// The head: whose pages these are, of which tokens, made with which numerics.
struct SnapshotHead {
    Fingerprint numerics{};  // model, tokenizer, formats, shaders, device: other bits otherwise
    Fingerprint domain{};
    HolderKind kind = HolderKind::session;
    std::string name;
    std::string context;
    std::uint64_t created_ms = 0;              // wall clock, as are the next two
    std::uint64_t last_used_ms = 0;            //
    std::optional<std::uint64_t> idle_ms;      // time to live
    std::optional<std::uint64_t> absolute_ms;  //
    std::uint64_t page_bytes = 0;              // sealed, over all layers
    std::vector<SnapshotPage> pages;
    std::vector<SnapshotBranch> branches;  // the one used last at the end
    // The last request's tokens beyond whole pages: recomputed, never stored as keys and values.
    std::uint32_t n_last_prompt = 0;
    std::uint32_t n_last_pages = 0;
    std::vector<TokenId> last_tail;
    bool operator==(const SnapshotHead&) const = default;

    std::uint64_t expires_at_ms() const;  // wall clock; UINT64_MAX: never
};

}  // namespace kvasir
