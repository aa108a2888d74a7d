#include "daemon/engine/cache_controller.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace kvasir {
namespace {

HolderTtl to_ttl(const TimeToLive& ttl) {
    return {.idle_ms = ttl.idle_ms, .absolute_ms = ttl.absolute_ms};
}

std::optional<std::uint64_t> expires_in(const Holder& holder, std::uint64_t now_ms) {
    const std::uint64_t at = holder.expires_at_ms();
    if (at == std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
    return at > now_ms ? at - now_ms : 0;
}

const Error kNoDisk{ErrorCode::unsupported, "there is no disk tier: cache.disk_budget_bytes is 0"};

Error not_found(const char* what, const std::string& name) {
    return {ErrorCode::not_found, fmt::format("{} \"{}\": there is none", what, name)};
}

}  // namespace

SessionInfo CacheController::describe(const Holder& holder) const {
    const std::uint64_t now = parts_.now_ms();
    const Holders::Pages pages = parts_.holders.pages(holder);
    SessionInfo info{.id = holder.name,
                     .context = holder.context,
                     .age_ms = now - holder.created_ms,
                     .idle_ms = now - holder.last_used_ms,
                     .expires_in_ms = expires_in(holder, now),
                     .n_branches = static_cast<std::uint32_t>(holder.branches.size()),
                     .n_pages = pages.n,
                     .n_shared_pages = pages.n_shared,
                     .bytes = pages.n * parts_.page_bytes,
                     .n_requests = holder.n_requests,
                     .n_cached_tokens = holder.n_cached_tokens,
                     .is_running = holder.n_running > 0};
    info.is_saved = is_saved(HolderKind::session, holder.domain, holder.name);
    if (pages.n_on_host > 0) info.tier = pages.n_on_host == pages.n ? "host" : "mixed";
    if (!holder.branches.empty()) {
        const NodeId tip = parts_.cache.tip(holder.branches.back().id);
        info.n_tokens = tip == kNoNode ? 0 : (parts_.cache.tree().depth(tip) + 1) * kTokensPerPage;
    }
    return info;
}

PrefixInfo CacheController::describe_prefix(const Holder& holder) const {
    const std::uint64_t now = parts_.now_ms();
    const Holders::Pages pages = parts_.holders.pages(holder);
    return {.name = holder.name,
            .n_tokens = holder.n_tokens,
            .n_pages = pages.n,
            .bytes = pages.n * parts_.page_bytes,
            .n_hits = holder.n_hits,
            .age_ms = now - holder.created_ms,
            .expires_in_ms = expires_in(holder, now),
            .is_common = holder.domain == kCommonDomain};
}

bool CacheController::is_saved(HolderKind kind, DomainId domain, const std::string& name) const {
    return parts_.disk != nullptr && parts_.disk->has(kind, domain, name);
}

Result<Holder*> CacheController::find_session(const Caller& caller, const std::string& id) {
    Holder* holder = parts_.holders.find(HolderKind::session, DomainId{caller.domain}, id);
    if (holder == nullptr) return not_found("session", id);
    return holder;
}

Result<Holder*> CacheController::find_prefix(const Caller& caller, const std::string& name) {
    for (const DomainId domain : {DomainId{caller.domain}, kCommonDomain}) {
        Holder* holder = parts_.holders.find(HolderKind::prefix, domain, name);
        if (holder != nullptr && !holder->branches.empty()) return holder;
    }
    return not_found("prefix", name);
}

Result<SessionInfo> CacheController::create_session(const Caller& caller,
                                                    const SessionOptions& options) {
    if (find_session(caller, options.id).has_value()) {
        return Error{ErrorCode::conflict,
                     fmt::format("session \"{}\": there is one already", options.id)};
    }
    if (is_saved(HolderKind::session, DomainId{caller.domain}, options.id)) {
        return Error{ErrorCode::conflict,
                     fmt::format("session \"{}\": there is a saved one, expected its restoring or "
                                 "its end first",
                                 options.id)};
    }
    KVASIR_TRY(Holder* const holder,
               parts_.holders.use(HolderKind::session, DomainId{caller.domain}, options.id,
                                  parts_.now_ms()));
    if (options.ttl.idle_ms || options.ttl.absolute_ms) holder->ttl = to_ttl(options.ttl);
    holder->context = options.context;
    return describe(*holder);
}

std::vector<SessionInfo> CacheController::sessions(const Caller& caller) {
    std::vector<SessionInfo> list;
    for (const Holder* holder : parts_.holders.list(HolderKind::session, DomainId{caller.domain}))
        list.push_back(describe(*holder));
    std::ranges::stable_sort(list, {}, &SessionInfo::idle_ms);
    return list;
}

Result<SessionInfo> CacheController::session(const Caller& caller, const std::string& id) {
    KVASIR_TRY(const Holder* const holder, find_session(caller, id));
    return describe(*holder);
}

Result<SessionInfo> CacheController::patch_session(const Caller& caller, const std::string& id,
                                                   const SessionPatch& patch) {
    KVASIR_TRY(Holder* const holder, find_session(caller, id));
    if (holder->n_running > 0 && (patch.context || patch.truncate_to)) {
        return Error{ErrorCode::conflict, fmt::format("session \"{}\": a request runs in it", id)};
    }
    if (patch.ttl) holder->ttl = to_ttl(*patch.ttl);
    if (patch.context) parts_.holders.change_context(*holder, *patch.context);
    if (patch.truncate_to) parts_.holders.truncate(*holder, *patch.truncate_to);
    parts_.scrub();
    return describe(*holder);
}

Result<Freed> CacheController::end_session(const Caller& caller, const std::string& id) {
    const DomainId domain{caller.domain};
    Holder* const holder = parts_.holders.find(HolderKind::session, domain, id);
    if (holder == nullptr) {
        if (!is_saved(HolderKind::session, domain, id)) return not_found("session", id);
        parts_.disk->remove(HolderKind::session, domain, id);
        return Freed{};
    }
    parts_.cancel_running(*holder);
    return freed(parts_.holders.end(*holder).n_pages);
}

void CacheController::save_session(const Caller& caller, const std::string& id, SnapshotDone done) {
    const auto holder = find_session(caller, id);
    if (holder.has_error()) return done(holder.error());
    if (parts_.disk == nullptr) return done(kNoDisk);
    parts_.disk->save(**holder, [id, done = std::move(done)](const Result<std::uint64_t>& bytes) {
        bytes.has_error() ? done(bytes.error()) : done(SnapshotInfo{id, *bytes});
    });
}

void CacheController::restore_session(const Caller& caller, const std::string& id,
                                      SnapshotDone done) {
    const DomainId domain{caller.domain};
    if (find_session(caller, id).has_value()) {
        return done(
            Error{ErrorCode::conflict, fmt::format("session \"{}\": it is in memory already", id)});
    }
    if (!is_saved(HolderKind::session, domain, id)) return done(not_found("session", id));
    parts_.disk->restore(
        HolderKind::session, domain, id,
        [id, done = std::move(done)](const Result<std::uint64_t>& bytes) {
            bytes.has_error() ? done(bytes.error()) : done(SnapshotInfo{id, *bytes});
        });
}

std::vector<PrefixInfo> CacheController::prefixes(const Caller& caller) {
    std::vector<PrefixInfo> list;
    for (const DomainId domain : {DomainId{caller.domain}, kCommonDomain}) {
        for (const Holder* holder : parts_.holders.list(HolderKind::prefix, domain))
            if (!holder->branches.empty()) list.push_back(describe_prefix(*holder));
    }
    return list;
}

Result<PrefixInfo> CacheController::prefix(const Caller& caller, const std::string& name) {
    KVASIR_TRY(const Holder* const holder, find_prefix(caller, name));
    return describe_prefix(*holder);
}

Result<Freed> CacheController::drop_prefix(const Caller& caller, const std::string& name) {
    KVASIR_TRY(Holder* const holder, find_prefix(caller, name));
    if (holder->domain == kCommonDomain && !caller.is_administrator) {
        return Error{ErrorCode::unauthorized,
                     fmt::format("prefix \"{}\": an administrator's, for all to read", name)};
    }
    parts_.cancel_running(*holder);
    // It may have been this name's first computation: then the holder went with it.
    const auto left = find_prefix(caller, name);
    return freed(left.has_value() ? parts_.holders.end(**left).n_pages : 0);
}

Freed CacheController::end_context(const Caller& caller, const std::string& context) {
    const DomainId domain{caller.domain};
    parts_.detach_context(domain, context);
    return freed(parts_.holders.end_context(domain, context).n_pages);
}

CacheReport CacheController::report(const Caller& caller) {
    const KvCache::Stats stats = parts_.cache.stats();
    CacheReport report{.page_tokens = kTokensPerPage, .page_bytes = parts_.page_bytes};
    if (!caller.is_administrator) {
        const DomainId domain{caller.domain};
        report.n_pages = parts_.cache.n_pages_of(domain);
        report.n_cached = report.n_pages;
        report.n_sessions =
            static_cast<std::uint32_t>(parts_.holders.list(HolderKind::session, domain).size());
        report.n_prefixes =
            static_cast<std::uint32_t>(parts_.holders.list(HolderKind::prefix, domain).size());
        return report;
    }
    report.n_pages = stats.n_pages;
    report.n_free = stats.n_free;
    report.n_leased = stats.n_leased;
    report.n_cached = stats.n_cached;
    report.n_claimed = stats.n_held;
    report.n_on_host = stats.n_on_host;
    if (const OpenSlots* slots = parts_.cache.open_slots()) report.n_open_tails = slots->n_tails();
    report.n_host_slots = stats.n_host_slots;
    if (parts_.disk != nullptr) {
        report.disk_bytes = parts_.disk->bytes_used();
        report.n_snapshots = parts_.disk->n_snapshots();
    }
    report.n_sessions = parts_.holders.count(HolderKind::session);
    report.n_prefixes = parts_.holders.count(HolderKind::prefix);
    report.n_hits = stats.n_hits;
    report.n_misses = stats.n_misses;
    report.n_tokens_asked = stats.n_tokens_asked;
    report.n_tokens_reused = stats.n_tokens_reused;
    for (std::uint32_t i = 0; i < parts_.group_names.size(); ++i) {
        const KvCache::GroupUse use = parts_.cache.use(GroupId{i});
        const GroupLimits& limits = parts_.cache.limits(GroupId{i});
        CacheReport::Domain& one = report.domains.emplace_back();
        one.name = parts_.group_names[i];
        one.n_pages = use.n_leased + use.n_cached;
        one.n_leased = use.n_leased;
        one.n_on_host = use.n_on_host;
        one.n_kept = limits.reserve;
        if (limits.cap != kNoCap) one.n_most = limits.cap;
    }
    return report;
}

Freed CacheController::evict(const Caller& caller, std::optional<std::uint32_t> n_pages) {
    // All means open pages, too; they belong to nobody's count.
    OpenSlots* const slots = n_pages ? nullptr : parts_.cache.open_slots();
    if (slots != nullptr && caller.is_administrator) slots->drop_all();
    if (slots != nullptr) slots->drop(DomainId{caller.domain});
    for (const auto& [domain, use] : parts_.cache.domains())
        if (slots != nullptr && use.owner == DomainId{caller.domain}) slots->drop(domain);
    if (caller.is_administrator) {
        const std::uint32_t all = parts_.cache.stats().n_pages;
        return freed(parts_.cache.trim(n_pages.value_or(all)));
    }
    const std::uint32_t all = parts_.cache.n_pages_of(DomainId{caller.domain});
    return freed(parts_.cache.drop_domain(DomainId{caller.domain}, n_pages.value_or(all)));
}

}  // namespace kvasir
