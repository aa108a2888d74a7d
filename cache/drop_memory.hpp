// DropMemory: why a page that was here is here no more. For miss reasons only: it may forget.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "cache/reuse_history.hpp"

namespace kvasir {

enum class DropReason : std::uint8_t {
    space,    // evicted: pages were short
    request,  // evicted: somebody asked for it
    expired,
    ended,  // with its session, prefix or context: no trace stays
};

/// One entry a slot, the newest wins; a slot is found by the path's low bits. Holds no tokens.
class DropMemory {
public:
    /// Remembers about four times what the cache holds, 8 bytes each.
    explicit DropMemory(std::uint32_t n_pages)
        : slots_(std::bit_ceil(std::size_t{n_pages} * 4 + 1), 0) {}

    void remember(PathHash path, DropReason reason) {
        if (reason == DropReason::ended) return forget(path);
        slot(path) = key(path) | (reason == DropReason::expired ? 1U : 0U);
    }
    void forget(PathHash path) {
        if ((slot(path) & ~1ULL) == key(path)) slot(path) = 0;
    }
    bool knows(PathHash path) const { return (slot(path) & ~1ULL) == key(path); }
    /// REQUIRES: knows(path).
    bool has_expired(PathHash path) const { return (slot(path) & 1U) != 0; }

private:
    // Bit 0 is the reason, bit 1 marks the slot as used.
    static std::uint64_t key(PathHash path) { return (path & ~3ULL) | 2U; }
    std::uint64_t& slot(PathHash path) { return slots_[(path >> 2U) & (slots_.size() - 1)]; }
    const std::uint64_t& slot(PathHash path) const {
        return slots_[(path >> 2U) & (slots_.size() - 1)];
    }
    std::vector<std::uint64_t> slots_;
};

}  // namespace kvasir
