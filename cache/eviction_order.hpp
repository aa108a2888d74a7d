// EvictionOrder: the evictable pages, by group, class and age, so that a group's least valued is
// found without a walk.
#pragma once

#include <array>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/groups.hpp"
#include "cache/retention.hpp"

namespace kvasir {

/// Two standings: what nobody holds by name goes before anything that a session, prefix or context
/// holds.
enum class Standing : std::uint8_t { anonymous, held };

/// A balanced tree a group, standing and class over ids below max_ids. Every id is in at most one
/// tree, at most once; within a class ids are ordered by rank, then id. insert, erase, find, pop:
/// O(log n), and they allocate nothing after construction.
class EvictionOrder {
public:
    explicit EvictionOrder(std::uint32_t max_ids, std::size_t n_groups = 1);
    ~EvictionOrder();
    EvictionOrder(const EvictionOrder&) = delete;
    EvictionOrder& operator=(const EvictionOrder&) = delete;

    /// REQUIRES: not contains(id); retention_class < kRetentionClasses.
    void insert(std::uint32_t id, EvictionRank rank, std::uint32_t retention_class = 0,
                Standing standing = Standing::anonymous, GroupId group = {});
    void erase(std::uint32_t id);  // REQUIRES: contains(id)

    /// The one of a group that goes first.
    struct Candidate {
        std::uint32_t id = 0;
        Standing standing = Standing::anonymous;
        double value = 0;
        EvictionRank rank;
        bool goes_before(const Candidate& other) const;
    };
    /// The smallest rank of class 0. REQUIRES: all are of class 0.
    std::optional<Candidate> find_first(GroupId group = {}) const;
    /// The least keep value; of equals, the smallest rank. REQUIRES: no age_key is after use_clock.
    std::optional<Candidate> find_least_valued(const KeepValues& values, std::uint64_t use_clock,
                                               GroupId group = {}) const;
    /// The same, taken out. REQUIRES: the group is not empty.
    std::uint32_t pop_first(GroupId group = {});
    std::uint32_t pop_least_valued(const KeepValues& values, std::uint64_t use_clock,
                                   GroupId group = {});

    bool contains(std::uint32_t id) const {
        return id < entries_.size() && entries_[id].is_linked();
    }
    bool empty() const { return size() == 0; }
    std::uint32_t size() const { return size_; }
    GroupId group(std::uint32_t id) const { return entries_[id].group; }  // REQUIRES: contains

    /// The paragraph above as code, O(n); aborts where it does not hold.
    void check_invariants() const;

private:
    using Hook = boost::intrusive::set_base_hook<>;
    struct Entry : Hook {
        EvictionRank rank;
        std::uint32_t id = 0;
        std::uint8_t retention_class = 0;
        Standing standing = Standing::anonymous;
        GroupId group{};
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
    struct Group {
        std::array<Trees, 2> trees;  // by standing
        std::array<std::uint32_t, 2> n_ids{};
        bool empty() const { return n_ids[0] + n_ids[1] == 0; }
        /// Of the standing that goes next.
        const Trees& first() const { return trees[n_ids[0] > 0 ? 0 : 1]; }
    };
    static const Entry* least_of(const Tree& tree, const ValueSegment& segment,
                                 std::uint64_t use_clock);

    std::vector<Entry> entries_;  // (max_ids): by id
    std::vector<Group> groups_;
    std::uint32_t size_ = 0;
};

}  // namespace kvasir
