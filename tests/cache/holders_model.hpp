// A naive model of KvCache with Holders: a set of pages, a list of who claims which path, loops.
// A page is the letters of its path, one a page: capital where it is common, small where it is its
// domain's own.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cache/holders.hpp"

namespace kvasir {

/// Common pages are nobody's own: their domain is kCommonDomain whoever names them.
struct PageName {
    DomainId domain{};
    std::string letters;
    PageName() = default;
    PageName(DomainId of, std::string path) : domain(of), letters(std::move(path)) {
        if (std::ranges::all_of(letters, [](char c) { return c <= 'Z'; })) domain = kCommonDomain;
    }
    auto operator<=>(const PageName&) const = default;
};

/// Whether page is on the path, or its end.
inline bool is_on(const PageName& page, DomainId domain, const std::string& path) {
    return path.starts_with(page.letters) &&
           (page.domain == domain || page.domain == kCommonDomain);
}

using HolderKey = std::tuple<HolderKind, DomainId, std::string>;

struct ModelRun {
    DomainId domain{};
    std::string text;  // small letters, as long as max_tokens asks for
    std::uint32_t n_prompt = 0;
    std::uint32_t max_tokens = 0;
    std::uint32_t n_tokens = 0;
    std::size_t n_ensured = 0;  // pages, those on the path included
    std::string path;           // committed pages
    bool keeps_as_claimed = false;
    std::optional<HolderKey> holder;  // none: nameless, or the holder has ended
    std::size_t max_pages() const { return max_tokens / kTokensPerPage; }
};

struct ModelHolder {
    struct Branch {
        std::string tip;
        std::string context;
    };
    std::vector<Branch> branches;  // the one used last at the end
    std::string context;
    HolderTtl ttl;
    std::uint64_t created_ms = 0;
    std::uint64_t last_used_ms = 0;
    std::uint32_t n_running = 0;
    bool is_pinned = false;  // all branches of it

    std::uint64_t expires_at_ms() const {
        const auto never = std::numeric_limits<std::uint64_t>::max();
        return std::min(ttl.idle_ms ? last_used_ms + *ttl.idle_ms : never,
                        ttl.absolute_ms ? created_ms + *ttl.absolute_ms : never);
    }
};

class HoldersModel {
public:
    HoldersModel(std::size_t n_pages, const Holders::Limits& limits)
        : n_pages_(n_pages), limits_(limits) {}

    struct Page {
        bool anonymous = false;
        bool on_host = false;  // as seen from outside
        std::uint64_t last_use_ms = 0;
    };
    std::map<PageName, Page> pages;
    std::map<int, ModelRun> running;
    std::map<HolderKey, ModelHolder> holders;
    std::map<PageName, KvCache::Miss> dropped;  // why, where a trace may stay
    std::uint64_t seen_ms = 0;                  // the latest time that the cache was told

    // ---- what is so ----

    bool is_leased(const PageName& page) const {
        return std::ranges::any_of(running,
                                   [&](const auto& item) {
                                       return is_on(page, item.second.domain, item.second.path);
                                   }) ||
               std::ranges::any_of(holders, [&](const auto& item) {
                   return item.second.is_pinned && holds(item, page);
               });
    }
    bool is_held(const PageName& page) const {
        return std::ranges::any_of(holders, [&](const auto& item) { return holds(item, page); });
    }
    std::size_t n_leased() const {
        return count_pages([&](const PageName& name, const Page&) { return is_leased(name); });
    }
    std::size_t n_held() const {
        return count_pages([&](const PageName& name, const Page&) { return is_held(name); });
    }
    std::size_t n_on_host() const {
        return count_pages([](const PageName&, const Page& page) { return page.on_host; });
    }
    std::size_t n_private() const {
        std::size_t n = 0;
        for (const auto& [id, run] : running) n += run.n_ensured - run.path.size();
        return n;
    }
    std::size_t n_reserved() const {
        std::size_t n = 0;
        for (const auto& [id, run] : running) n += run.max_pages() - run.n_ensured;
        return n;
    }
    std::size_t n_free() const { return n_pages_ - (pages.size() - n_on_host()) - n_private(); }
    std::size_t n_cached() const { return pages.size() - n_on_host() - n_leased(); }
    std::size_t n_pinned() const {
        std::size_t n = 0;
        for (const auto& [key, holder] : holders)
            if (holder.is_pinned)
                for (const auto& branch : holder.branches) n += branch.tip.size();
        return n;
    }

    /// How the page that follows path would be spelled, if it is there.
    std::optional<char> find(DomainId domain, const std::string& path, char letter) const {
        const auto capital = static_cast<char>(std::toupper(letter));
        if (domain != kCommonDomain && pages.contains({domain, path + letter})) return letter;
        if (pages.contains({kCommonDomain, path + capital})) return capital;
        return std::nullopt;
    }
    /// The run's path with every page that it can reuse from its present end on.
    std::string reusable(const ModelRun& run) const {
        std::string path = run.path;
        while (path.size() < (run.n_prompt - 1) / kTokensPerPage) {
            const auto letter = find(run.domain, path, run.text[path.size()]);
            if (!letter) break;
            path += *letter;
        }
        return path;
    }

    // ---- what happens ----

    /// Pages that nobody claims or runs on any more are gone. Returns how many.
    std::size_t settle(DropReason reason = DropReason::ended) {
        std::vector<PageName> gone;
        for (const auto& [name, page] : pages)
            if (!page.anonymous && !is_held(name) && !is_leased(name)) gone.push_back(name);
        for (const PageName& name : gone) lose(name, reason);
        return gone.size();
    }
    void lose(const PageName& name, DropReason reason) {
        pages.erase(name);
        if (reason == DropReason::ended) {
            dropped.erase(name);
        } else {
            dropped[name] =
                reason == DropReason::expired ? KvCache::Miss::expired : KvCache::Miss::evicted;
        }
        for (auto& [key, holder] : holders) {
            for (auto& branch : holder.branches)
                if (is_on(name, std::get<1>(key), branch.tip))
                    branch.tip.resize(name.letters.size() - 1);
        }
    }

    bool may_begin(const ModelRun& run) const {
        const std::string path = reusable(run);
        std::size_t n_needed = run.max_pages();
        for (std::size_t i = 1; i <= path.size(); ++i) {
            const PageName name(run.domain, path.substr(0, i));
            if (pages.at(name).on_host) continue;  // needs a page like one that is not there
            if (is_leased(name)) --n_needed;
        }
        return n_needed + n_reserved() <= n_free() + n_cached();
    }

    void commit(ModelRun& run) {
        while (run.path.size() < run.n_tokens / kTokensPerPage) {
            const char own = run.text[run.path.size()];
            const auto found = find(run.domain, run.path, own);
            run.path += found            ? *found
                        : is_common(run) ? static_cast<char>(std::toupper(own))
                                         : own;
            const PageName name(run.domain, run.path);
            if (pages.try_emplace(name).second) dropped.erase(name);
            pages.at(name).on_host = false;  // if it was, it has been computed anew
        }
    }

    void release(int id) {
        const ModelRun run = running.at(id);
        running.erase(id);
        const bool claims = !run.keeps_as_claimed && !run.path.empty() &&
                            PageName(run.domain, run.path).domain == run.domain;
        for (std::size_t i = 1; i <= run.path.size(); ++i) {
            Page& page = pages.at({run.domain, run.path.substr(0, i)});
            page.last_use_ms = seen_ms;
            page.anonymous = page.anonymous || claims;
        }
        settle();
    }

    void hold(const HolderKey& key, const std::string& path, std::uint64_t now_ms) {
        ModelHolder& holder = holders.at(key);
        holder.last_used_ms = now_ms;
        if (path.empty()) return;
        auto& branches = holder.branches;
        auto at = branches.end();
        for (auto it = branches.begin(); it != branches.end(); ++it)
            if (path.starts_with(it->tip) &&
                (at == branches.end() || it->tip.size() > at->tip.size()))
                at = it;
        if (at == branches.end())
            at = std::ranges::find_if(branches,
                                      [&](const auto& b) { return b.tip.starts_with(path); });
        ModelHolder::Branch branch{path, holder.context};
        if (at != branches.end()) {
            const bool goes_on = path.starts_with(at->tip);
            if (!goes_on && std::get<0>(key) != HolderKind::prefix) branch.tip = at->tip;
            branches.erase(at);
        }
        branches.push_back(branch);
        const std::array<std::size_t, 3> most = {limits_.n_branches, 1, limits_.n_context_branches};
        while (branches.size() > most[static_cast<std::size_t>(std::get<0>(key))])
            branches.erase(branches.begin());
        settle();
    }

    /// False: there are too many of the kind in the domain, and none can go.
    bool use(const HolderKey& key, std::uint64_t now_ms) {
        if (const auto found = holders.find(key); found != holders.end()) {
            found->second.last_used_ms = now_ms;
            return true;
        }
        std::vector<HolderKey> same;
        for (const auto& [other, holder] : holders)
            if (std::get<0>(other) == std::get<0>(key) && std::get<1>(other) == std::get<1>(key))
                same.push_back(other);
        if (same.size() >= limits_.n_per_domain) {
            std::erase_if(same, [&](const auto& other) { return holders.at(other).n_running > 0; });
            if (same.empty() || std::get<0>(key) == HolderKind::prefix) return false;
            end(*std::ranges::min_element(
                    same, {}, [&](const auto& other) { return holders.at(other).last_used_ms; }),
                DropReason::request);
        }
        holders[key] = {.created_ms = now_ms, .last_used_ms = now_ms};
        return true;
    }
    std::size_t end(const HolderKey& key, DropReason reason = DropReason::ended) {
        holders.erase(key);
        return settle(reason);
    }
    std::size_t drop_context(ModelHolder& holder, const std::string& context) {
        std::erase_if(holder.branches, [&](const auto& b) { return b.context == context; });
        return settle();
    }
    std::size_t change_context(ModelHolder& holder, const std::string& context) {
        if (context.empty() || context == holder.context) return 0;
        const std::string old = std::exchange(holder.context, context);
        return old.empty() ? 0 : drop_context(holder, old);
    }
    std::size_t end_context(DomainId domain, const std::string& context) {
        std::size_t n = 0;
        for (auto& [key, holder] : holders) {
            if (std::get<0>(key) != HolderKind::session || std::get<1>(key) != domain) continue;
            n += drop_context(holder, context);
            if (holder.context == context) holder.context.clear();
        }
        return n + end({HolderKind::context, domain, context});
    }
    std::size_t truncate(ModelHolder& holder, std::uint32_t n_tokens) {
        for (auto& branch : holder.branches)
            branch.tip.resize(std::min<std::size_t>(branch.tip.size(), n_tokens / kTokensPerPage));
        return settle();
    }
    std::size_t expire(std::uint64_t now_ms) {
        std::erase_if(holders, [&](const auto& item) {
            return item.second.n_running == 0 && item.second.expires_at_ms() <= now_ms;
        });
        return settle(DropReason::expired);
    }
    std::size_t expire_anonymous(std::uint64_t used_before_ms) {
        for (auto& [name, page] : pages)
            if (page.last_use_ms < used_before_ms && !is_leased(name)) page.anonymous = false;
        return settle(DropReason::expired);
    }
    std::vector<PageName> droppable(DomainId domain) const {
        std::vector<PageName> names;
        for (const auto& [name, page] : pages)
            if (name.domain == domain && !is_leased(name) && !others_follow(name))
                names.push_back(name);
        return names;
    }

    /// These went under pressure, or because somebody asked for space. Not allowed: what is in use,
    /// what others follow, and (in_order) what is held while something that is not could go.
    bool evict(const std::vector<PageName>& gone, bool in_order) {
        const bool any_held = std::ranges::any_of(gone, [&](const auto& g) { return is_held(g); });
        for (const PageName& name : gone) {
            if (is_leased(name)) return false;
            pages.erase(name);
        }
        for (const auto& [name, page] : pages) {
            for (const PageName& g : gone)
                if (is_on(g, name.domain, name.letters)) return false;
            if (in_order && any_held && !is_held(name) && !is_leased(name)) return false;
        }
        for (const PageName& name : gone) lose(name, DropReason::space);
        return true;
    }

private:
    static bool is_common(const ModelRun& run) { return run.domain == kCommonDomain; }
    static bool holds(const std::pair<const HolderKey, ModelHolder>& item, const PageName& page) {
        return std::ranges::any_of(item.second.branches, [&](const auto& branch) {
            return is_on(page, std::get<1>(item.first), branch.tip);
        });
    }
    bool others_follow(const PageName& page) const {
        return std::ranges::any_of(pages, [&](const auto& item) {
            return item.first.domain != page.domain &&
                   is_on(page, item.first.domain, item.first.letters);
        });
    }
    template <typename Is>
    std::size_t count_pages(Is is) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            pages, [&](const auto& item) { return is(item.first, item.second); }));
    }

    std::size_t n_pages_;
    Holders::Limits limits_;
};

}  // namespace kvasir
