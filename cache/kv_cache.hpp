// KvCache: what the engine asks of the cache room: begin a sequence, grow it, commit it, let it go.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "cache/claims.hpp"
#include "cache/drop_memory.hpp"
#include "cache/groups.hpp"
#include "cache/open_slots.hpp"
#include "cache/page_pool.hpp"
#include "cache/prefix_tree.hpp"
#include "cache/retainer.hpp"
#include "cache/retention.hpp"
#include "cache/window.hpp"
#include "config/base/error.hpp"
#include "config/base/types.hpp"

namespace kvasir {

/// The pages that exist, the prefixes they stand for, and the order in which they go.
///
///   begin -> [ ensure_page* -> the step runs -> append -> commit ]* -> release
///
/// Only full pages have a PageId; the tokens of a page that still fills are the engine's (f16, its
/// own slots). So a sequence of n tokens occupies floor(n / 32) pages.
///
/// A page that a sequence has computed is its own until commit enters it in the tree; then anyone
/// of the domain may lease it. Every entered page is kept, every kept page is in the tree. A page
/// is leased by a sequence only together with all pages before it, so whatever is Cached can be
/// evicted, leaves first: the queue holds exactly the Cached leaves. Whatever is Cached is claimed
/// (claims.hpp); a page whose last claim goes is freed at once. With a host tier, what is evicted
/// for space goes there instead, and whatever is least valued there goes for good; a match fetches
/// what it needs back into pages it has reserved.
///
/// Pages on the device count for groups (groups.hpp): a page in the tree for that of its domain,
/// another for that of its sequence. A group's demand is max(leased + reserved, its reserve): what
/// its running sequences may come to hold, or what is kept for it. The demands of all groups
/// together never exceed n_pages, and leased + reserved and leased + cached of a group never exceed
/// its cap. A page is taken from the Free ones; by a group at its cap, from its own Cached ones;
/// where none is Free, from the least valued ones of the taker and of the groups above their
/// reserve. So no group pushes another below its reserve, with one exception: what follows Cached
/// common pages (their prefix was dropped) may have to go with them, for a reserve does not keep
/// what is not its group's own.
///
/// A step never fails for want of a page. Say none is Free, the taker has none Cached, and nobody
/// above its reserve has one that is queued. A group other than the common one that has a page
/// Cached has one queued. So each holds at most its demand, the taker one less, and if the common
/// group has nothing Cached all pages together would be fewer than n_pages. Else a Cached common
/// page is followed by pages of a group at its reserve, the last of which is queued: that one goes.
///
/// Where attention has a window (window.hpp), a sequence gives up pages that it has rolled past:
/// they are Cached and cut from what follows (prefix_tree.hpp), claimed by whoever claims the path
/// and, until it ends, by the sequence. They may be evicted though nodes follow, which makes those
/// hollow. A match is the longest one whose last token has its whole window. What a sequence has
/// promised is then what it can hold at once; a place that it gives up but others still lease is
/// owed to it, and until it has that back it may have to wait (max_step_tokens). Whoever leases
/// what a sequence has given up is behind it, so the hindmost one never waits for another.
///
/// Slots of the host tier are not promised to anybody, so no group needs a reserve there; but while
/// others have more than their reserves' share of the slots, a group below its own loses nothing.
///
/// One thread (the engine's). Never blocks, has no clock: now_ms is the caller's, any origin, not
/// decreasing.
class KvCache {
public:
    struct Options {
        std::uint32_t n_pages = 0;
        bool reuse = true;  // false: nothing is looked up, nothing stays
        RetentionPolicy retention = RetentionPolicy::kvasir;
        /// Domains that are groups of their own; all others are one. The reserves together are at
        /// most n_pages.
        std::map<DomainId, GroupLimits> groups;
        std::uint32_t n_host_slots = 0;   // pages of the host tier; 0: none
        OpenSlots* open_slots = nullptr;  // where ended sequences' tails lie; none: none are kept
        PageMover* mover = nullptr;       // with n_host_slots; must outlive the cache
        bool note_freed = false;          // for take_freed
        std::optional<AttentionWindow> window;  // none: some layer sees everything
        std::uint32_t n_hollow_nodes = 0;       // beside those with pages; what has no node is not
                                                // found again
        std::uint32_t n_nodes() const { return n_pages + n_host_slots + n_hollow_nodes; }
        std::uint64_t hash_seed = 0;  // random where callers are not trusted (see PrefixTree)
        NodeHash hash = xxh3_node_hash;
    };

    /// allowed: as Options::reuse says. refused: takes no cached page (echo with logprobs,
    /// embeddings), but still enters its own.
    enum class Lookup : std::uint8_t { allowed, refused };

    /// On whose behalf a sequence's pages stay when it ends. anonymously: anybody's of the domain,
    /// while there is space. as_claimed: on that of the branches that were moved over them before.
    enum class Keep : std::uint8_t { anonymously, as_claimed };

    /// What became of the first page that a sequence had to compute though it could be reused.
    enum class Miss : std::uint8_t { none, never_seen, expired, evicted };

    struct Freed {
        std::uint32_t n_pages = 0;
    };

    struct Stats {
        std::uint32_t n_pages = 0;  // = n_free + n_cached + n_leased
        std::uint32_t n_free = 0;
        std::uint32_t n_cached = 0;
        std::uint32_t n_leased = 0;
        std::uint32_t n_reserved = 0;  // promised to running sequences, still Free or Cached
        std::uint32_t n_sequences = 0;
        std::uint32_t n_held = 0;    // by a branch
        std::uint32_t n_hollow = 0;  // nodes without a page
        std::uint32_t n_pinned = 0;  // leases of pinned branches, a page once a branch
        std::uint32_t n_host_slots = 0;
        std::uint32_t n_on_host = 0;  // pages in host memory: none of the above
        // Totals since construction.
        std::uint64_t n_hits = 0;    // sequences that began on cached pages
        std::uint64_t n_misses = 0;  // sequences that began without
        std::uint64_t n_evicted_for_space = 0;
        std::uint64_t n_evicted_by_request = 0;
        std::uint64_t n_evicted_expired = 0;
        std::uint64_t n_evicted_ended = 0;
        std::uint64_t n_saved = 0;   // from the device to host memory
        std::uint64_t n_loaded = 0;  // and back
        std::uint64_t n_duplicates =
            0;  // pages computed though another sequence was about to enter them
        std::uint64_t n_tokens_asked = 0;   // of all prompts
        std::uint64_t n_tokens_reused = 0;  // of these, found
    };

    class Sequence;

    explicit KvCache(const Options& options);
    ~KvCache();  // REQUIRES: no sequence is alive
    KvCache(const KvCache&) = delete;
    KvCache& operator=(const KvCache&) = delete;

    /// Leases the longest reusable prefix and reserves every further page up to max_tokens (prompt
    /// included). At most floor((prompt - 1) / 32) pages are reused: the last token's query needs
    /// its own page in f16. Errors: invalid_argument (empty prompt, or max_tokens below it),
    /// too_large (more pages than the domain may ever have), exhausted (running sequences hold too
    /// many pages: try again when one has ended). On error nothing changed.
    /// owner: the domain that this one is a part of, for what counts by domain; always the same.
    Result<Sequence> begin(DomainId domain, std::span<const TokenId> prompt,
                           std::uint32_t max_tokens, std::uint64_t now_ms,
                           Lookup lookup = Lookup::allowed,
                           std::optional<DomainId> owner = std::nullopt);

    /// Evicts up to n cached pages, in the order of retention. Returns how many.
    std::uint32_t trim(std::uint32_t n);
    /// Moves cached pages to the host tier as far as it has free slots. Returns how many.
    std::uint32_t save_all();
    /// Evicts all cached pages; what running sequences hold stays.
    std::uint32_t drop_all() { return trim(0xffffffffU); }

    /// Evicts the cached pages of the domain and its parts, and what is remembered of them. O(nodes
    /// of all domains). At most n_pages, in no order.
    std::uint32_t drop_domain(DomainId domain, std::uint32_t n_pages = 0xffffffffU);

    // ---- claims by name: see holders.hpp ----

    BranchId open_branch() { return claims_.open(); }
    /// The branch keeps the path to tip from now on; what nobody claims any more is freed.
    Freed move_branch(BranchId branch, NodeId tip, DropReason reason = DropReason::ended);
    /// As move_branch to nothing; the id is given back. Unpins it first.
    Freed close_branch(BranchId branch, DropReason reason = DropReason::ended);
    NodeId tip(BranchId branch) const { return claims_.tip(branch); }
    /// The branch's pages are not evicted until unpin. At most half of all pages are pinned.
    /// Errors: exhausted (they are promised to running sequences, or over half).
    Result<> pin_branch(BranchId branch);
    void unpin_branch(BranchId branch);

    /// Anonymous claims on pages that nobody has used since are dropped. O(nodes log nodes).
    Freed expire_anonymous(std::uint64_t used_before_ms);

    /// Pages that became free since the last call and still are, with Options::note_freed.
    std::vector<PageId> take_freed() { return pool_.take_freed(); }

    const Claims& claims() const { return claims_; }
    /// Pages in the tree of this domain and its parts. O(domains).
    std::uint32_t n_pages_of(DomainId domain) const;
    /// Pages in the tree, and sequences that run. Domains without either are not listed.
    struct DomainUse {
        DomainId owner{};  // another one, of a part
        GroupId group{};
        std::uint32_t n_pages = 0;
        std::uint32_t n_sequences = 0;
    };
    const std::map<DomainId, DomainUse>& domains() const { return domains_; }

    GroupId group_of(DomainId owner) const;
    const GroupLimits& limits(GroupId group) const { return groups_[to_index(group)].limits; }
    struct GroupUse {
        std::uint32_t n_leased = 0;
        std::uint32_t n_cached = 0;
        std::uint32_t n_reserved = 0;
        std::uint32_t n_on_host = 0;
    };
    GroupUse use(GroupId group) const;
    /// The longest sequence, in pages, that others' reserves leave to this domain when nothing else
    /// runs and nothing is pinned. Any thread.
    std::uint32_t max_pages(DomainId owner) const;
    /// And that its cap leaves to one with this prompt: common pages do not count for that.
    std::uint32_t max_pages(DomainId domain, DomainId owner, std::span<const TokenId> prompt) const;
    /// The same in tokens of one sequence.
    std::uint32_t max_tokens(DomainId owner) const { return tokens_in(max_pages(owner)); }
    std::uint32_t max_tokens(DomainId domain, DomainId owner,
                             std::span<const TokenId> prompt) const {
        return tokens_in(max_pages(domain, owner, prompt));
    }
    /// What a sequence of so many tokens holds at once.
    std::uint32_t held_pages(std::uint32_t n_tokens) const {
        return std::min(n_tokens / kTokensPerPage, max_held_);
    }
    /// Whether n more pages are the group's own affair, so that nobody else waits longer for them:
    /// they are within its reserve.
    bool is_within_reserve(GroupId group, std::uint32_t n_pages) const {
        return std::uint64_t{pool_.n_leased(group)} + groups_[to_index(group)].n_reserved +
                   n_pages <=
               limits(group).reserve;
    }
    /// Likewise: they are more than its cap leaves, so that nobody but the group itself is waited
    /// for.
    bool is_beyond_cap(GroupId group, std::uint32_t n_pages) const {
        return std::uint64_t{pool_.n_leased(group)} + groups_[to_index(group)].n_reserved +
                   n_pages >
               limits(group).cap;
    }

    /// nullptr: no tails are kept.
    OpenSlots* open_slots() const { return options_.open_slots; }
    Stats stats() const;
    bool has_window() const { return options_.window.has_value(); }
    const PageFacts& facts(NodeId node) const { return retainer_.facts(node); }
    const PrefixTree& tree() const { return tree_; }

    /// The paragraph above as code, O(pages); aborts where it does not hold.
    void check_invariants() const;

private:
    PageLease lease_node(NodeId node);
    void unlease_node(NodeId node, PageLease lease);
    void recall(Sequence& sequence, std::span<const TokenId> prompt);
    Miss find_miss(const Sequence& sequence, std::span<const TokenId> prompt,
                   std::size_t n_known_nodes) const;
    std::uint32_t tokens_in(std::uint32_t n_pages) const;
    bool is_held(std::uint32_t page, std::size_t n_matched) const;
    std::size_t usable_length(std::span<const NodeId> chain) const;
    struct Needs {
        std::vector<NodeId> held;  // of the chain
        std::uint32_t n_new = 0;   // beside them, at once
    };
    Needs needs_of(const std::vector<NodeId>& chain, std::uint32_t n_pages) const;
    void lease_chain(Sequence& sequence, const std::vector<NodeId>& chain,
                     std::span<const TokenId> prompt);
    void cut(NodeId node);
    void fill(NodeId node, PageId page, GroupId group);
    PathHash path_before(DomainId domain, NodeId parent) const;
    bool is_cached(NodeId node) const {  // on the device, and nobody's lease
        return tree_.is_resident(node) && pool_.state(tree_.page(node)) == PageState::cached;
    }
    bool is_idle(NodeId node) const { return !tree_.is_resident(node) || is_cached(node); }
    bool has_page(NodeId node) const { return tree_.contains(node) && !tree_.is_hollow(node); }
    bool is_queueable(NodeId node) const;
    void queue(NodeId node);
    void requeue(NodeId node);
    void queue_parent(NodeId parent);
    std::uint32_t max_pages(GroupId group) const;
    std::uint64_t demand(GroupId group, std::int64_t n_more = 0) const;
    bool fits(GroupId group, std::uint32_t n_more, std::uint32_t n_more_common) const;
    bool can_pass(GroupId from, GroupId to) const;
    bool can_adopt(NodeId node, GroupId group) const;
    Result<> admit(GroupId group, std::vector<NodeId>& chain, std::uint32_t n_pages) const;
    Result<> check_admission(GroupId group, const std::vector<NodeId>& chain,
                             std::uint32_t n_pages) const;
    NodeId choose_victim(GroupId taker) const;
    NodeId choose_after_common() const;
    NodeId choose_on_host(GroupId saved) const;
    std::uint32_t host_share(GroupId group) const;
    void check_groups() const;
    HostSlot take_slot(GroupId saved);
    void save(NodeId node, HostSlot slot);
    void take_back(NodeId node, PageId page);
    bool fetch(NodeId node, Sequence& sequence);
    void evict(NodeId node, DropReason reason);
    void forget_unused(DomainId domain) noexcept;
    void drop_unclaimed(NodeId node, DropReason reason);
    PageLease take_reserved_page(GroupId group);
    void see_time(std::uint64_t now_ms);

    Options options_;
    std::uint32_t max_held_;  // pages of one sequence at once
    PagePool pool_;
    PrefixTree tree_;
    Claims claims_;
    Retainer retainer_;
    DropMemory dropped_;
    std::vector<HostSlot> free_slots_;
    struct Group {
        GroupLimits limits;
        std::uint32_t n_reserved = 0;
        std::uint32_t n_on_host = 0;
    };
    std::vector<Group> groups_;
    std::vector<GroupId> node_groups_;  // by node
    std::map<DomainId, DomainUse> domains_;
    struct Pin {
        std::vector<NodeId> nodes;  // deepest first
        std::vector<PageLease> leases;
    };
    std::map<BranchId, Pin> pins_;
    std::uint64_t now_ms_ = 0;
    Stats stats_;  // n_reserved, n_sequences and the totals; the rest is the pool's
};

/// One running sequence's hold on the cache. Move-only, empty when moved from. The destructor is
/// discard(). Must not outlive its cache.
class KvCache::Sequence {
public:
    Sequence() = default;
    Sequence(Sequence&& other) noexcept { swap(other); }
    Sequence& operator=(Sequence&& other) noexcept {
        Sequence(std::move(other)).swap(*this);
        return *this;
    }
    ~Sequence() { discard(); }

    /// Tokens whose KV lay in the cache when the sequence began, or was found since by
    /// extend_match.
    std::uint32_t n_cached_tokens() const { return n_cached_tokens_; }
    /// Tokens whose KV is there: cached and appended.
    std::uint32_t n_tokens() const { return static_cast<std::uint32_t>(tokens_.size()); }
    std::uint32_t max_tokens() const { return max_tokens_; }
    /// The block table: page i holds tokens 32 i to 32 i + 31. Those outside the window name some
    /// page that exists. Valid until the next non-const member.
    std::span<const PageId> pages() const { return pages_; }
    /// The last page in the tree, kNoNode where none is. Valid while the sequence lives.
    NodeId tip() const { return nodes_.empty() ? kNoNode : nodes_.back(); }
    /// Of the prompt, when the sequence began.
    Miss miss() const { return miss_; }
    void keep(Keep keep) { keep_ = keep; }

    /// The KV of the prompt's next tokens was found in an open page: the caller has that page.
    /// REQUIRES: on a border; they are followed by at least one more token of the prompt.
    void found_open(std::span<const TokenId> tokens);

    /// Tokens that a step may add: fewer than max_tokens leaves only while others lease what this
    /// sequence has rolled past, then maybe none. Between steps.
    std::uint32_t max_step_tokens();
    /// Takes pages from the reservation until the block table has page_index: the destination that
    /// a coming step seals into. REQUIRES: the page ends within max_tokens.
    PageId ensure_page(std::uint32_t page_index);
    /// The step has written these tokens' KV, and sealed each page that they fill.
    /// REQUIRES: the pages they fill are ensured; max_tokens is kept.
    void append(std::span<const TokenId> tokens);
    /// Enters the pages that are full since the last commit. Where another sequence has entered an
    /// equal page meanwhile, this one changes over to it and frees its own (the bits are the same,
    /// by promise 1): so the block table may change, and a commit is allowed only between steps.
    void commit(std::uint64_t now_ms);
    /// The prompt's next page cannot be had: it counts as rolled past once a page follows that was
    /// appended and committed. REQUIRES: attention has a window; on a border, and all is committed.
    void pass(PageTokens tokens);
    /// Takes over pages that others have entered since for the tokens that come next in the prompt;
    /// returns the tokens gained. For a sequence that waits for, or trails, another one with the
    /// same opening. Gains nothing unless all tokens lie in committed pages and no page is ensured
    /// ahead. REQUIRES: prompt starts with this sequence's tokens; between steps.
    std::uint32_t extend_match(std::span<const TokenId> prompt, std::uint64_t now_ms);

    /// commit, then every lease and the rest of the reservation go back; what is entered stays
    /// Cached as keep says.
    void release(std::uint64_t now_ms);
    /// As release, but pages not yet committed are freed unseen: for a step that failed, or wrote a
    /// NaN.
    void discard() noexcept;

private:
    friend class KvCache;
    void swap(Sequence& other) noexcept;
    bool adopt(NodeId node);
    void enter_full_pages();
    bool enter_passed(std::size_t end);
    NodeId enter_page(std::size_t i);
    PageTokens tokens_of_page(std::size_t i) const {
        return std::span(tokens_).subspan(i * kTokensPerPage).first<kTokensPerPage>();
    }
    void pass_over(NodeId node);
    void give_up_chain();
    void claim_rolled(std::size_t n_nodes);
    void roll_out();
    void collect_owed();

    KvCache* cache_ = nullptr;  // none: empty
    DomainId domain_{};
    GroupId group_{};
    std::uint32_t max_tokens_ = 0;
    std::uint32_t n_cached_tokens_ = 0;
    std::uint32_t n_reserved_ = 0;  // pages
    std::uint32_t n_owed_ = 0;      // pages given up, to be reserved again
    std::uint32_t n_rolled_ = 0;    // pages before this one are sinks' or given up
    BranchId rolled_ = kNoBranch;   // claims these
    bool lookup_ = true;
    Keep keep_ = Keep::anonymously;
    Miss miss_ = Miss::none;
    std::vector<TokenId> tokens_;
    std::vector<PageId> pages_;      // leases_[i].page(), side by side for the block table
    std::vector<PageLease> leases_;  // empty: rolled past
    std::vector<NodeId> nodes_;      // of the first pages: those in the tree
    // Of the prompt's first pages, as many as were asked for before: how often. Evicted ones
    // included.
    std::vector<std::uint32_t> known_hits_;
};

}  // namespace kvasir
