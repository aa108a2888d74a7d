// OpenSlots: the device's open pages, and which of them still hold the tail of an ended sequence.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/prefix_tree.hpp"

namespace kvasir {

/// Who a tail is kept for: a holder's id (holders.hpp), or anybody.
enum class TailOwner : std::uint64_t {};
constexpr TailOwner kAnybody{0};

/// An open page has a slot in f16. Sequences that run hold their slots; a sequence that ends may
/// leave the one of its last, not yet full page here, as a tail: the next that goes on from there
/// need not compute those tokens again. Tails are found by domain, the node of the page before, and
/// their tokens. They are the first to go: whoever needs a slot takes the tail used longest ago. A
/// tail never outlives its node (KvCache tells) or its owner (Holders tells). Every member is
/// O(slots). One thread (the engine's).
class OpenSlots {
public:
    explicit OpenSlots(std::uint32_t n);

    /// REQUIRES: running sequences hold fewer than n.
    std::uint32_t acquire();
    void release(std::uint32_t slot);

    /// The slot, which the caller holds, becomes a tail: tokens (1 to 31) after the page of parent.
    /// An older tail of the same owner that these tokens go on from makes way.
    void keep(std::uint32_t slot, DomainId domain, NodeId parent, std::span<const TokenId> tokens,
              TailOwner owner, std::uint64_t now_ms);

    struct Match {
        std::uint32_t slot = 0;
        std::uint32_t n_tokens = 0;  // at the tail's start
        bool is_whole = false;       // the tail has no more
    };
    /// The tail after parent that shares most tokens with these; the reader's own, or after a
    /// common page a common one.
    std::optional<Match> match(DomainId reader, NodeId parent,
                               std::span<const TokenId> tokens) const;
    /// A whole match becomes the caller's, as if acquired; of another a new slot is, and the caller
    /// copies into it. The matched tail is not pushed out by that.
    std::uint32_t adopt(const Match& match, std::uint64_t now_ms);

    void forget(NodeId parent);
    void drop(TailOwner owner);
    void drop(DomainId domain);
    void drop_all();
    /// Anybody's tails that were not used since.
    void expire(std::uint64_t used_before_ms);

    /// Slots that were taken since the last call and are free now: for who zeroes what is free.
    std::vector<std::uint32_t> take_freed();

    std::uint32_t n_tails() const { return static_cast<std::uint32_t>(tails_.size()); }
    std::uint32_t n_free() const { return static_cast<std::uint32_t>(free_.size()); }

private:
    struct Tail {
        std::uint32_t slot = 0;
        DomainId domain{};
        NodeId parent = kNoNode;
        TailOwner owner = kAnybody;
        std::uint64_t used_ms = 0;
        std::vector<TokenId> tokens;
    };
    template <class Predicate>
    void drop_if(Predicate predicate);

    std::vector<std::uint32_t> free_;
    std::vector<bool> used_;   // by slot: since take_freed
    std::vector<Tail> tails_;  // the one used last at the end
};

}  // namespace kvasir
