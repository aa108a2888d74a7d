// Holders: sessions, prefixes and contexts: who keeps pages by name, which, and until when.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "cache/kv_cache.hpp"

namespace kvasir {

enum class HolderKind : std::uint8_t {
    session,  // a conversation: its last 4 branches
    prefix,   // a named opening: one branch
    context,  // what nameless requests of one context used
};

struct HolderTtl {
    std::optional<std::uint64_t> idle_ms;
    std::optional<std::uint64_t> absolute_ms;
};

struct Holder {
    struct Branch {
        BranchId id = kNoBranch;
        std::string context;  // of the request that went there last
    };
    /// The last request's tokens: those of whole pages are the tree's, down to the newest branch's
    /// tip; the rest is here. For saying where the next one diverges.
    struct LastPath {
        std::uint32_t n_prompt = 0;  // what followed was generated
        std::uint32_t n_pages = 0;
        std::vector<TokenId> tail;  // fewer than 32
    };

    TailOwner id{};  // of this process, never reused
    HolderKind kind = HolderKind::session;
    DomainId domain{};
    std::string name;
    std::string context;           // the current one; empty: none
    std::vector<Branch> branches;  // the one used last at the end
    LastPath last;
    HolderTtl ttl;
    std::uint64_t created_ms = 0;
    std::uint64_t last_used_ms = 0;
    std::uint64_t n_requests = 0;
    std::uint64_t n_cached_tokens = 0;  // that its requests found
    std::uint64_t n_hits = 0;           // of a prefix: requests that began on all of it
    std::uint32_t n_running = 0;        // requests; while there are any, idle time stands still
    std::uint32_t n_tokens = 0;         // of a prefix: in whole pages

    std::uint64_t expires_at_ms() const;  // as if nothing ran; UINT64_MAX: never
};

/// Every holder by kind, domain and name. Its members find, they do not guard: another domain's
/// holder is not found because the domain is part of the name. References stay valid until the
/// holder ends. One thread (the engine's), the caller's clock.
class Holders {
public:
    struct Limits {
        std::uint32_t n_branches = 4;           // a session's
        std::uint32_t n_context_branches = 64;  // a context's
        std::uint32_t n_per_domain = 1024;      // of each kind: beyond, the longest idle one ends
        HolderTtl session_ttl;                  // where a caller gives none
    };

    Holders(KvCache& cache, const Limits& limits) : cache_(cache), limits_(limits) {}
    /// Called when a holder ends, or some of its pages are dropped though they were not short: what
    /// others keep of it is to go, too. Not called by the destructor.
    using Forget = std::function<void(const Holder& holder, DropReason reason)>;
    void on_forget(Forget forget) { forget_ = std::move(forget); }
    ~Holders();
    Holders(const Holders&) = delete;
    Holders& operator=(const Holders&) = delete;

    Holder* find(HolderKind kind, DomainId domain, const std::string& name);
    /// Found or new; used now. A new one over the limit ends the longest idle one of its kind and
    /// domain that runs nothing. Errors: exhausted (all of them run).
    Result<Holder*> use(HolderKind kind, DomainId domain, const std::string& name,
                        std::uint64_t now_ms);

    /// A sequence of this holder ends with the path to tip in the cache, and goes on from a branch
    /// or makes a new one; the branch used longest ago goes where there are too many. Call before
    /// the sequence is released. tokens: all of the sequence; n_prompt: of these, not generated.
    void hold(Holder& holder, NodeId tip, std::span<const TokenId> tokens, std::uint32_t n_prompt,
              std::uint64_t now_ms);
    /// The session goes on in another context: what only the old one's requests used is freed, as
    /// far as no sequence runs on it. Empty: stays.
    KvCache::Freed change_context(Holder& holder, const std::string& context);
    /// Every branch is cut to the whole pages of its first n_tokens.
    KvCache::Freed truncate(Holder& holder, std::uint32_t n_tokens);
    KvCache::Freed end(Holder& holder, DropReason reason = DropReason::ended);
    /// The context's holder, and in every session of the domain the branches of that context.
    KvCache::Freed end_context(DomainId domain, const std::string& context);

    /// A request of this domain has begun on the path to tip: prefixes that lie whole on it, its
    /// own and common ones, are used now.
    void count_prefix_hits(DomainId domain, NodeId tip, std::uint64_t now_ms);

    /// Ends whatever has outlived its time.
    KvCache::Freed expire(std::uint64_t now_ms);
    /// When expire next has something to do, if nothing is used meanwhile; UINT64_MAX: never.
    std::uint64_t next_expiry_ms() const;

    /// In the order of names.
    std::vector<const Holder*> list(HolderKind kind, DomainId domain) const;
    std::uint32_t count(HolderKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
    /// Counts each page once, however many branches cover it.
    struct Pages {
        std::uint32_t n = 0;
        std::uint32_t n_on_host = 0;
        std::uint32_t n_shared = 0;  // others claim them too
    };
    Pages pages(const Holder& holder) const;

    /// What of a prompt's divergence from the last request the tree and the tail can tell: the
    /// first token that differs, if both go on there, and what the last request had from there on.
    struct Divergence {
        std::uint32_t at = 0;
        std::vector<TokenId> old_tokens;  // from `at`, at most max_old
        bool in_generated = false;        // the last request had generated the token there
    };
    std::optional<Divergence> find_divergence(const Holder& holder, std::span<const TokenId> prompt,
                                              std::size_t max_old) const;

private:
    using Key = std::tuple<HolderKind, DomainId, std::string>;
    bool is_on_path(NodeId node, NodeId tip) const;
    std::vector<Holder::Branch>::iterator branch_for(Holder& holder, NodeId tip) const;
    KvCache::Freed drop_context(Holder& holder, const std::string& context);

    void tell(const Holder& holder, DropReason reason) const {
        if (forget_) forget_(holder, reason);
    }

    KvCache& cache_;
    const Limits limits_;
    Forget forget_;
    void drop_tails(const Holder& holder);
    std::map<Key, Holder> holders_;
    std::uint64_t next_id_ = 1;
    std::array<std::uint32_t, 3> counts_{};  // by kind
};

}  // namespace kvasir
