// EvictionOrder: the evictable pages, by class and age, so that the least valued is found without a
// walk.
#pragma once

#include <array>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <vector>

#include "cache/retention.hpp"

namespace kvasir {

/// Two standings: what nobody holds by name goes before anything that a session, prefix or context
/// holds.
enum class Standing : std::uint8_t { anonymous, held };

/// A balanced tree a standing and class over ids below max_ids. Every id is in at most one tree, at
/// most once; within a class ids are ordered by rank, then id. insert, erase, pop: O(log n), and
/// they allocate nothing after construction.
class EvictionOrder {
public:
    explicit EvictionOrder(std::uint32_t max_ids);
    ~EvictionOrder();
    EvictionOrder(const EvictionOrder&) = delete;
    EvictionOrder& operator=(const EvictionOrder&) = delete;

    /// REQUIRES: not contains(id); retention_class < kRetentionClasses.
    void insert(std::uint32_t id, EvictionRank rank, std::uint32_t retention_class = 0,
                Standing standing = Standing::anonymous);
    void erase(std::uint32_t id);  // REQUIRES: contains(id)

    /// Takes out the smallest rank of class 0. REQUIRES: not empty; all are of class 0.
    std::uint32_t pop_first();
    /// Takes out the id of the least keep value; of equals, the smallest rank.
    /// REQUIRES: not empty; no age_key is after use_clock.
    std::uint32_t pop_least_valued(const KeepValues& values, std::uint64_t use_clock);

    bool contains(std::uint32_t id) const {
        return id < entries_.size() && entries_[id].is_linked();
    }
    bool empty() const { return size() == 0; }
    std::uint32_t size() const { return n_ids_[0] + n_ids_[1]; }

    /// The paragraph above as code, O(n); aborts where it does not hold.
    void check_invariants() const;

private:
    using Hook = boost::intrusive::set_base_hook<>;
    struct Entry : Hook {
        EvictionRank rank;
        std::uint32_t id = 0;
        std::uint8_t retention_class = 0;
        Standing standing = Standing::anonymous;
    };
    struct Before {
        bool operator()(const Entry& a, const Entry& b) const {
            return a.rank != b.rank ? a.rank < b.rank : a.id < b.id;
        }
        bool operator()(const Entry& a, const EvictionRank& rank) const { return a.rank < rank; }
        bool operator()(const EvictionRank& rank, const Entry& a) const { return rank < a.rank; }
    };
    using Tree = boost::intrusive::set<Entry, boost::intrusive::compare<Before>,
                                       boost::intrusive::constant_time_size<false>>;
    using Trees = std::array<Tree, kRetentionClasses>;
    /// Of the standing that goes next.
    Trees& first_trees() { return trees_[n_ids_[0] > 0 ? 0 : 1]; }
    static const Entry* least_of(const Tree& tree, const ValueSegment& segment,
                                 std::uint64_t use_clock);

    std::vector<Entry> entries_;  // (max_ids): by id
    std::array<Trees, 2> trees_;  // by standing
    std::array<std::uint32_t, 2> n_ids_{};
};

}  // namespace kvasir
