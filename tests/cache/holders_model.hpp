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
    using Groups = std::map<DomainId, GroupLimits>;
    HoldersModel(std::size_t n_pages, const Holders::Limits& limits, Groups groups = {})
        : n_pages_(n_pages), limits_(limits), groups_(std::move(groups)) {}

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

    // ---- groups: a listed domain, the common one, or the rest, DomainId{0} ----

    DomainId group_of(DomainId domain) const {
        return domain == kCommonDomain || groups_.contains(domain) ? domain : DomainId{0};
    }
    GroupLimits limits_of(DomainId group) const {
        return groups_.contains(group) ? groups_.at(group) : GroupLimits{};
    }
    std::vector<DomainId> all_groups() const {
        std::vector<DomainId> all{DomainId{0}, kCommonDomain};
        for (const auto& [group, limits] : groups_) all.push_back(group);
        return all;
    }
    bool has_groups() const { return !groups_.empty(); }
    bool is_idle(const PageName& name) const { return pages.at(name).on_host || !is_leased(name); }
    std::size_t n_private_of(DomainId group) const {
        std::size_t n = 0;
        for (const auto& [id, run] : running)
            n += group_of(run.domain) == group ? run.n_ensured - run.path.size() : 0;
        return n;
    }
    std::size_t n_on_device(DomainId group) const {
        return n_private_of(group) + count_pages([&](const PageName& name, const Page& page) {
                   return !page.on_host && group_of(name.domain) == group;
               });
    }
    std::size_t n_leased_or_reserved(DomainId group) const {
        std::size_t n = n_private_of(group) + count_pages([&](const PageName& name, const Page& p) {
                            return !p.on_host && group_of(name.domain) == group && is_leased(name);
                        });
        for (const auto& [id, run] : running)
            n += group_of(run.domain) == group ? run.max_pages() - run.n_ensured : 0;
        return n;
    }
    using Extra = std::map<DomainId, std::size_t>;  // leased or reserved, by group
    bool fits(const Extra& extra) const {
        std::size_t n_demanded = 0;
        for (const DomainId group : all_groups()) {
            const std::size_t more = extra.contains(group) ? extra.at(group) : 0;
            const std::size_t n = n_leased_or_reserved(group) + more;
            if (more > 0 && n > limits_of(group).cap) return false;
            n_demanded += std::max<std::size_t>(n, limits_of(group).reserve);
        }
        return n_demanded <= n_pages_;
    }
    /// Whether a run may take the page instead of one that it has or was promised.
    bool can_adopt(const PageName& name, DomainId domain) const {
        const DomainId group = group_of(domain);
        const bool costs_nothing = group_of(name.domain) == group || !is_idle(name) ||
                                   n_leased_or_reserved(group) > limits_of(group).reserve;
        return costs_nothing || fits({{group_of(name.domain), 1}});
    }
    /// Whether the run may begin on this path.
    bool admits(const ModelRun& run, const std::string& path) const {
        const DomainId group = group_of(run.domain);
        Extra extra{{group, run.max_pages() - path.size()}};
        std::size_t n_common_fetched = 0;
        for (std::size_t i = 1; i <= path.size(); ++i) {
            const PageName name(run.domain, path.substr(0, i));
            if (!is_idle(name)) continue;
            ++extra[group_of(name.domain)];
            if (group_of(name.domain) != group && pages.at(name).on_host) ++n_common_fetched;
        }
        return fits(extra) && n_leased_or_reserved(group) + extra[group] + n_common_fetched <=
                                  limits_of(group).cap;
    }
    bool is_too_large(const ModelRun& run) const {
        const DomainId group = group_of(run.domain);
        std::size_t n_kept = 0;
        for (const DomainId other : all_groups())
            n_kept += other == group ? 0 : limits_of(other).reserve;
        std::size_t n_common = 0;
        const std::string path = reusable(run);
        for (std::size_t i = 1; i <= path.size(); ++i)
            n_common += group_of(PageName(run.domain, path.substr(0, i)).domain) == group ? 0 : 1;
        return run.max_pages() + n_kept > n_pages_ ||
               run.max_pages() - n_common > limits_of(group).cap;
    }
    /// How many pages go when the run takes n more, where none can go to the host tier.
    std::size_t n_short(const ModelRun& run, std::size_t n) const {
        const DomainId group = group_of(run.domain);
        std::size_t n_mine = n_on_device(group);
        std::size_t n_left = n_free();
        std::size_t n_gone = 0;
        for (; n > 0; --n) {
            if (n_mine >= limits_of(group).cap || n_left == 0) {
                ++n_gone;
            } else {
                ++n_mine;
                --n_left;
            }
        }
        return n_gone;
    }
    bool has_orphans() const {
        return count_pages([&](const PageName& name, const Page& page) {
                   return name.domain == kCommonDomain && !page.on_host && !is_leased(name);
               }) > 0;
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

    /// The same for one that runs: as far as it may take over what it finds.
    std::string extensible(int id) const {
        HoldersModel then = *this;
        ModelRun& run = then.running.at(id);
        while (run.path.size() < (run.n_prompt - 1) / kTokensPerPage) {
            const auto letter = then.find(run.domain, run.path, run.text[run.path.size()]);
            if (!letter) break;
            const PageName name(run.domain, run.path + *letter);
            if (!then.can_adopt(name, run.domain)) break;
            then.pages.at(name).on_host = false;
            run.path += *letter;
            run.n_ensured = run.path.size();
        }
        return run.path;
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

    /// The path that the run begins on, if it may: all that is there, or without the common pages
    /// that nobody leases.
    std::optional<std::string> beginning(const ModelRun& run) const {
        if (is_too_large(run)) return std::nullopt;
        const std::string path = reusable(run);
        if (admits(run, path)) return path;
        std::size_t n = 0;
        while (n < path.size()) {
            const PageName name(run.domain, path.substr(0, n + 1));
            if (group_of(name.domain) != group_of(run.domain) && is_idle(name)) break;
            ++n;
        }
        ModelRun cut = run;
        cut.n_prompt = static_cast<std::uint32_t>(n) * kTokensPerPage + 1;
        if (n == path.size() || is_too_large(cut) || !admits(run, path.substr(0, n)))
            return std::nullopt;
        return path.substr(0, n);
    }

    void commit(ModelRun& run) {
        while (run.path.size() < run.n_tokens / kTokensPerPage) {
            const char own = run.text[run.path.size()];
            auto found = find(run.domain, run.path, own);
            if (found && !can_adopt({run.domain, run.path + *found}, run.domain)) found.reset();
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
    Groups groups_;
};

}  // namespace kvasir
