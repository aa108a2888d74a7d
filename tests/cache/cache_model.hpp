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

#include "cache/page_pool.hpp"
#include "cache/retention.hpp"

namespace kvasir {

using Path = std::pair<std::uint32_t, std::string>;  // domain, letters

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
    CacheModel(std::size_t n_pages, RetentionPolicy policy) : n_pages_(n_pages), policy_(policy) {}

    struct Entered {
        int entered = 0;
        int used = 0;
    };
    std::map<Path, Entered> entered;
    std::map<int, ModelSequence> running;
    std::uint64_t n_evicted_for_space = 0;
    /// Where the policy is not one of the model's: who went, as seen from outside. None: nobody.
    std::function<std::optional<Path>()> choose_victim;

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
        if (n_needed + n_reserved() > n_free() + n_cached()) return false;
        ++time_;
        sequence.n_tokens = static_cast<std::uint32_t>(n_found) * kTokensPerPage;
        sequence.n_ensured = sequence.n_committed = n_found;
        running[id] = sequence;
        return true;
    }

    void ensure(int id, std::size_t n_pages) {
        ModelSequence& sequence = running.at(id);
        while (sequence.n_ensured < n_pages) {
            if (n_free() == 0) {
                entered.erase(*victim());
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
        for (auto path = victim(); n_evicted < n && path; path = victim(), ++n_evicted)
            entered.erase(*path);
        return n_evicted;
    }

    std::size_t drop_domain(std::uint32_t domain) {
        return std::erase_if(entered, [&](const auto& item) {
            return item.first.first == domain && !is_leased(item.first);
        });
    }

private:
    std::optional<Path> victim() const {
        if (choose_victim) return choose_victim();
        std::optional<Path> best;
        for (const auto& [path, facts] : entered) {
            const auto below =
                entered.upper_bound(path);  // letters sort: a child comes right after
            if (below != entered.end() && starts_with(below->first, path)) continue;
            if (is_leased(path)) continue;
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
    int time_ = 0;
};

}  // namespace kvasir
