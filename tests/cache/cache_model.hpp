// A naive model of KvCache: sets of paths and loops over them, no tree, no queue, no counts kept.
// A path is a string with one letter a page; the tokens of a page follow from its letter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/groups.hpp"
#include "cache/page_pool.hpp"
#include "cache/retention.hpp"

namespace kvasir {

using Path = std::pair<std::uint32_t, std::string>;  // domain, letters

/// Domains that are groups of their own; the others are one, nullopt.
using ModelGroups = std::map<std::uint32_t, GroupLimits>;
using ModelGroup = std::optional<std::uint32_t>;

inline bool starts_with(const Path& path, const Path& prefix) {
    return path.first == prefix.first && path.second.starts_with(prefix.second);
}

struct ModelSequence {
    Path path;  // as long as max_tokens asks for
    std::uint32_t n_prompt = 0;
    std::uint32_t max_tokens = 0;
    std::uint32_t n_tokens = 0;
    std::size_t n_ensured = 0;    // pages, cached ones included
    std::size_t n_committed = 0;  // pages, cached ones included
    Path prefix(std::size_t n_pages) const { return {path.first, path.second.substr(0, n_pages)}; }
    std::size_t max_pages() const { return max_tokens / kTokensPerPage; }
};

class CacheModel {
public:
    CacheModel(std::size_t n_pages, RetentionPolicy policy, ModelGroups groups = {})
        : n_pages_(n_pages), policy_(policy), groups_(std::move(groups)) {}

    struct Entered {
        int entered = 0;
        int used = 0;
    };
    std::map<Path, Entered> entered;
    std::map<int, ModelSequence> running;
    std::uint64_t n_evicted_for_space = 0;
    /// Where the policy is not one of the model's: who went, as seen from outside. None: nobody.
    std::function<std::optional<Path>()> choose_victim;

    ModelGroup group_of(std::uint32_t domain) const {
        return groups_.contains(domain) ? ModelGroup(domain) : std::nullopt;
    }
    GroupLimits limits(ModelGroup group) const {
        return group ? groups_.at(*group) : GroupLimits{};
    }
    std::vector<ModelGroup> groups() const {
        std::vector<ModelGroup> all{std::nullopt};
        for (const auto& [domain, limits] : groups_) all.emplace_back(domain);
        return all;
    }
    std::size_t n_leased(ModelGroup group) const {
        std::size_t n = 0;
        for (const auto& [path, facts] : entered)
            n += group_of(path.first) == group && is_leased(path) ? 1 : 0;
        for (const auto& [id, sequence] : running)
            if (group_of(sequence.path.first) == group)
                n += sequence.n_ensured - sequence.n_committed;
        return n;
    }
    std::size_t n_cached(ModelGroup group) const {
        return static_cast<std::size_t>(std::ranges::count_if(entered, [&](const auto& item) {
            return group_of(item.first.first) == group && !is_leased(item.first);
        }));
    }
    std::size_t n_reserved(ModelGroup group) const {
        std::size_t n = 0;
        for (const auto& [id, sequence] : running)
            if (group_of(sequence.path.first) == group)
                n += sequence.max_pages() - sequence.n_ensured;
        return n;
    }
    /// What the group's running sequences may come to hold, or what is kept for it.
    std::size_t demand(ModelGroup group) const {
        return std::max<std::size_t>(n_leased(group) + n_reserved(group), limits(group).reserve);
    }
    /// Of a group that takes a page when none is free, or at its cap: who may lose one.
    bool may_lose(ModelGroup group, ModelGroup taker) const {
        if (group == taker) return true;
        return !is_at_cap(taker) && n_leased(group) + n_cached(group) > limits(group).reserve;
    }
    bool is_at_cap(ModelGroup group) const {
        return n_leased(group) + n_cached(group) >= limits(group).cap;
    }
    bool is_too_large(const ModelSequence& sequence) const {
        const ModelGroup group = group_of(sequence.path.first);
        std::size_t n_kept = 0;
        for (const ModelGroup other : groups())
            n_kept += other == group ? 0 : limits(other).reserve;
        return sequence.max_pages() > limits(group).cap || sequence.max_pages() + n_kept > n_pages_;
    }

    bool is_leased(const Path& path) const {
        return std::ranges::any_of(running, [&](const auto& item) {
            const ModelSequence& sequence = item.second;
            return path.second.size() <= sequence.n_committed && starts_with(sequence.path, path);
        });
    }
    bool has_children(const Path& path) const {
        const auto below = entered.upper_bound(path);  // letters sort: a child comes right after
        return below != entered.end() && starts_with(below->first, path);
    }
    std::size_t n_leased_entered() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            entered, [&](const auto& item) { return is_leased(item.first); }));
    }
    std::size_t n_cached() const { return entered.size() - n_leased_entered(); }
    std::size_t n_private() const {
        std::size_t n = 0;
        for (const auto& [id, sequence] : running) n += sequence.n_ensured - sequence.n_committed;
        return n;
    }
    std::size_t n_reserved() const {
        std::size_t n = 0;
        for (const auto& [id, sequence] : running) n += sequence.max_pages() - sequence.n_ensured;
        return n;
    }
    std::size_t n_free() const { return n_pages_ - entered.size() - n_private(); }

    /// Pages of the sequence's opening, from its n-th on, that are entered and may be reused.
    std::size_t n_reusable(const ModelSequence& sequence, std::size_t n) const {
        while (n < (sequence.n_prompt - 1) / kTokensPerPage &&
               entered.contains(sequence.prefix(n + 1)))
            ++n;
        return n;
    }

    /// False: too many pages are held.
    bool begin(int id, ModelSequence sequence) {
        const std::size_t n_found = n_reusable(sequence, 0);
        std::size_t n_needed = sequence.max_pages() - n_found;
        for (std::size_t i = 1; i <= n_found; ++i)
            if (!is_leased(sequence.prefix(i))) ++n_needed;
        const ModelGroup group = group_of(sequence.path.first);
        const std::size_t n_own = n_leased(group) + n_reserved(group) + n_needed;
        std::size_t n_demanded = std::max<std::size_t>(n_own, limits(group).reserve);
        for (const ModelGroup other : groups()) n_demanded += other == group ? 0 : demand(other);
        if (n_own > limits(group).cap || n_demanded > n_pages_) return false;
        ++time_;
        sequence.n_tokens = static_cast<std::uint32_t>(n_found) * kTokensPerPage;
        sequence.n_ensured = sequence.n_committed = n_found;
        running[id] = sequence;
        return true;
    }

    void ensure(int id, std::size_t n_pages) {
        ModelSequence& sequence = running.at(id);
        while (sequence.n_ensured < n_pages) {
            const ModelGroup group = group_of(sequence.path.first);
            if (n_free() == 0 || is_at_cap(group)) {
                entered.erase(*victim(group));
                ++n_evicted_for_space;
            }
            ++sequence.n_ensured;
        }
    }

    void commit(int id) {
        ModelSequence& sequence = running.at(id);
        ++time_;
        while (sequence.n_committed < sequence.n_tokens / kTokensPerPage)
            entered.try_emplace(sequence.prefix(++sequence.n_committed), Entered{time_, time_});
    }

    std::size_t extend(int id) {
        ModelSequence& sequence = running.at(id);
        if (sequence.n_ensured != sequence.n_committed ||
            sequence.n_tokens != sequence.n_committed * kTokensPerPage)
            return 0;
        const std::size_t n_before = sequence.n_committed;
        sequence.n_committed = sequence.n_ensured = n_reusable(sequence, n_before);
        sequence.n_tokens = static_cast<std::uint32_t>(sequence.n_committed) * kTokensPerPage;
        return sequence.n_committed - n_before;
    }

    void discard(int id) {
        const ModelSequence sequence = running.at(id);
        ++time_;
        for (std::size_t i = 1; i <= sequence.n_committed; ++i)
            entered.at(sequence.prefix(i)).used = time_;
        running.erase(id);
    }

    std::size_t trim(std::size_t n) {
        std::size_t n_evicted = 0;
        for (auto path = any_victim(); n_evicted < n && path; path = any_victim(), ++n_evicted)
            entered.erase(*path);
        return n_evicted;
    }

    std::size_t drop_domain(std::uint32_t domain) {
        return std::erase_if(entered, [&](const auto& item) {
            return item.first.first == domain && !is_leased(item.first);
        });
    }

private:
    std::optional<Path> any_victim() const {
        return choose_victim ? choose_victim() : least([](const Path&) { return true; });
    }
    std::optional<Path> victim(ModelGroup taker) const {
        const auto may_go = [&](const Path& path) { return may_lose(group_of(path.first), taker); };
        if (!choose_victim) return least(may_go);
        const auto gone = choose_victim();
        return gone && may_go(*gone) ? gone : std::nullopt;
    }
    template <class Predicate>
    std::optional<Path> least(Predicate may_go) const {
        std::optional<Path> best;
        for (const auto& [path, facts] : entered) {
            const auto below =
                entered.upper_bound(path);  // letters sort: a child comes right after
            if (below != entered.end() && starts_with(below->first, path)) continue;
            if (is_leased(path) || !may_go(path)) continue;
            if (!best || goes_before(path, *best)) best = path;
        }
        return best;
    }
    bool goes_before(const Path& a, const Path& b) const {
        const Entered& x = entered.at(a);
        const Entered& y = entered.at(b);
        const int age_x = policy_ == RetentionPolicy::fifo ? x.entered : x.used;
        const int age_y = policy_ == RetentionPolicy::fifo ? y.entered : y.used;
        if (age_x != age_y) return age_x < age_y;
        return a.second.size() > b.second.size();
    }

    std::size_t n_pages_;
    RetentionPolicy policy_;
    ModelGroups groups_;
    int time_ = 0;
};

}  // namespace kvasir
