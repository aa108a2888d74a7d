// KvCache and Holders side by side with their naive model: what is compared, and how.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cctype>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/holders.hpp"
#include "tests/cache/holder_fixture.hpp"
#include "tests/cache/holders_model.hpp"
#include "tests/cache/random.hpp"

namespace kvasir {

/// Carries numbers instead of bytes, and fails now and then.
class FakeMover : public PageMover {
public:
    FakeMover(std::uint32_t n_pages, std::uint32_t n_slots, std::uint64_t seed)
        : device(n_pages), host_(n_slots), random_(seed) {}
    void save(PageId from, HostSlot to) noexcept override {
        host_[to_index(to)] = random_.one_in(20) ? 0 : device[to_index(from)];
    }
    bool load(HostSlot from, PageId to) noexcept override {
        device[to_index(to)] = 0;
        if (host_[to_index(from)] == 0 || random_.one_in(20)) {
            ++n_failed;
            return false;
        }
        device[to_index(to)] = host_[to_index(from)];
        return true;
    }
    void drop(HostSlot slot) noexcept override { host_[to_index(slot)] = 0; }

    std::vector<int> device;  // (n_pages): what the page holds; 0: nothing of use
    int n_failed = 0;

private:
    std::vector<int> host_;
    Random random_;
};

class HoldersCompared {
protected:
    HoldersCompared(std::uint32_t n_pages, std::uint32_t n_host, RetentionPolicy policy,
                    const Holders::Limits& limits, std::uint64_t seed,
                    const HoldersModel::Groups& groups = {})
        : n_host_(n_host),
          mover_(n_pages, n_host, seed + 1),
          cache_({.n_pages = n_pages,
                  .retention = policy,
                  .groups = groups,
                  .n_host_slots = n_host,
                  .mover = &mover_,
                  .hash_seed = seed}),
          holders_(cache_, limits),
          model_(n_pages, limits, groups) {}

    std::map<PageName, NodeId> observe() const {
        const PrefixTree& tree = cache_.tree();
        std::map<PageName, NodeId> seen;
        for (std::uint32_t i = 0; i < tree.id_limit(); ++i)
            if (tree.contains(NodeId{i}))
                seen.emplace(PageName(tree.domain(NodeId{i}), path_of(NodeId{i})), NodeId{i});
        return seen;
    }
    std::string path_of(NodeId node) const {
        const PrefixTree& tree = cache_.tree();
        std::string path;
        for (; node != kNoNode; node = tree.parent(node)) {
            const auto letter = static_cast<char>(tree.tokens(node)[0] / 100);
            const bool is_common = tree.domain(node) == kCommonDomain;
            path += is_common ? static_cast<char>(std::toupper(letter)) : letter;
        }
        std::ranges::reverse(path);
        return path;
    }

    /// Which pages go under pressure is the policy's choice; how many, and that they may, is not.
    std::vector<PageName> check_gone(std::optional<std::size_t> n, bool in_order) {
        const auto seen = observe();
        std::vector<PageName> gone;
        for (const auto& [name, page] : model_.pages)
            if (!seen.contains(name)) gone.push_back(name);
        BOOST_REQUIRE((!n || gone.size() == *n));
        // Which group's pages may go has a say as well: test_kv_cache_random.cpp compares that.
        const bool allowed = model_.evict(gone, in_order && !model_.has_groups());
        BOOST_REQUIRE(allowed);
        see_tiers(seen);
        return gone;
    }
    void see_tiers(const std::map<PageName, NodeId>& seen) {
        for (auto& [name, page] : model_.pages)
            page.on_host = !cache_.tree().is_resident(seen.at(name));
    }

    using OnDevice = std::map<DomainId, std::size_t>;
    OnDevice on_device() const {
        OnDevice n;
        for (const DomainId group : model_.all_groups()) n[group] = model_.n_on_device(group);
        return n;
    }
    /// What the taker did has pushed no group below its reserve, unless orphaned common pages had
    /// to go.
    void check_reserves(const OnDevice& before, DomainId taker, bool had_orphans) {
        for (const auto& [group, n] : on_device()) {
            if (group == model_.group_of(taker) || n >= before.at(group)) continue;
            if (n >= model_.limits_of(group).reserve) continue;
            BOOST_REQUIRE(had_orphans);
            ++n_exceptions_;
        }
    }

    void check_miss(const ModelRun& run, KvCache::Miss miss) {
        const std::size_t n_most = (run.n_prompt - 1) / kTokensPerPage;
        BOOST_REQUIRE((miss == KvCache::Miss::none) == (run.path.size() == n_most));
        if (miss == KvCache::Miss::none || miss == KvCache::Miss::never_seen) return;
        const char next = run.text[run.path.size()];
        const bool is_common = run.domain == kCommonDomain;
        const auto found = model_.dropped.find(
            {run.domain, run.path + (is_common ? static_cast<char>(std::toupper(next)) : next)});
        BOOST_REQUIRE((found != model_.dropped.end() && found->second == miss));
        ++n_explained_;
    }

    void compare() {
        cache_.check_invariants();
        const auto seen = observe();
        BOOST_REQUIRE(std::ranges::equal(
            seen, model_.pages, {}, [](const auto& s) { return s.first; },
            [](const auto& m) { return m.first; }));
        see_tiers(seen);
        const KvCache::Stats stats = cache_.stats();
        BOOST_REQUIRE(stats.n_on_host == model_.n_on_host());
        BOOST_REQUIRE(stats.n_free == model_.n_free());
        BOOST_REQUIRE(stats.n_cached == model_.n_cached());
        BOOST_REQUIRE(stats.n_reserved == model_.n_reserved());
        BOOST_REQUIRE(stats.n_held == model_.n_held());
        BOOST_REQUIRE(stats.n_pinned == model_.n_pinned());
        BOOST_REQUIRE(stats.n_sequences == running_.size());
        for (const DomainId group : model_.all_groups()) {
            const KvCache::GroupUse use = cache_.use(cache_.group_of(group));
            BOOST_REQUIRE(use.n_leased + use.n_cached == model_.n_on_device(group));
            BOOST_REQUIRE(use.n_leased + use.n_reserved == model_.n_leased_or_reserved(group));
        }
        for (const auto& [id, sequence] : running_) {
            const ModelRun& run = model_.running.at(id);
            BOOST_REQUIRE(sequence.n_tokens() == run.n_tokens);
            BOOST_REQUIRE(sequence.pages().size() == run.n_ensured);
            BOOST_REQUIRE(path_of(sequence.tip()) == run.path);
            // A sequence's full pages hold its own tokens, whoever wrote them, wherever they were.
            for (std::size_t i = 0; i < run.n_tokens / kTokensPerPage; ++i) {
                const bool is_common = i < run.path.size() && run.path[i] <= 'Z';
                BOOST_REQUIRE(
                    holds(sequence.pages()[i], run.text.substr(0, i + 1), run.domain, is_common));
            }
        }
    }

    void compare_holders() {
        std::uint64_t next_expiry = std::numeric_limits<std::uint64_t>::max();
        std::size_t n = 0;
        for (const auto& [key, expected] : model_.holders) {
            const Holder& holder = find(key);
            ++n;
            BOOST_REQUIRE(holder.branches.size() == expected.branches.size());
            BOOST_REQUIRE(holder.context == expected.context);
            Holders::Pages pages;
            std::map<PageName, bool> covered;
            for (std::size_t i = 0; i < holder.branches.size(); ++i) {
                const std::string& tip = expected.branches[i].tip;
                BOOST_REQUIRE(path_of(cache_.tip(holder.branches[i].id)) == tip);
                for (std::size_t j = 1; j <= tip.size(); ++j)
                    covered[{holder.domain, tip.substr(0, j)}] = true;
            }
            HoldersModel without = model_;
            without.holders.erase(key);
            for (const auto& [name, yes] : covered) {
                ++pages.n;
                pages.n_on_host += model_.pages.at(name).on_host ? 1 : 0;
                pages.n_shared += model_.pages.at(name).anonymous || without.is_held(name) ? 1 : 0;
            }
            const Holders::Pages counted = holders_.pages(holder);
            BOOST_REQUIRE(counted.n == pages.n);
            BOOST_REQUIRE(counted.n_on_host == pages.n_on_host);
            BOOST_REQUIRE(counted.n_shared == pages.n_shared);
            if (expected.n_running == 0)
                next_expiry = std::min(next_expiry, expected.expires_at_ms());
        }
        BOOST_REQUIRE(holders_.next_expiry_ms() == next_expiry);
        BOOST_REQUIRE(n == holders_.count(HolderKind::session) +
                               holders_.count(HolderKind::prefix) +
                               holders_.count(HolderKind::context));
    }

    Holder& find(const HolderKey& key) {
        Holder* holder = holders_.find(std::get<0>(key), std::get<1>(key), std::get<2>(key));
        BOOST_REQUIRE(holder != nullptr);
        return *holder;
    }
    int content(DomainId writer, const std::string& text) {
        return contents_.try_emplace({writer, text}, static_cast<int>(contents_.size()) + 1)
            .first->second;
    }
    /// What a common page holds may have been computed by whoever read it when its content in host
    /// memory was lost.
    bool holds(PageId page, const std::string& text, DomainId domain, bool is_common) {
        const int found = mover_.device[to_index(page)];
        const auto wrote = [&](DomainId writer) { return content(writer, text) == found; };
        return wrote(domain) ||
               (is_common && (wrote(kAlice) || wrote(kBob) || wrote(kCommonDomain)));
    }

    std::uint32_t n_host_;
    FakeMover mover_;
    KvCache cache_;
    Holders holders_;
    HoldersModel model_;
    std::map<std::pair<DomainId, std::string>, int> contents_;  // numbers from 1 on
    std::map<int, KvCache::Sequence> running_;
    int n_exceptions_ = 0;
    int n_explained_ = 0;  // misses that were said to have expired or been evicted
};

}  // namespace kvasir
