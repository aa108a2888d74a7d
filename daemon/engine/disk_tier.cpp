#include "daemon/engine/disk_tier.hpp"

#include <algorithm>
#include <set>

#include "config/base/log.hpp"
#include "config/base/wipe.hpp"
#include "daemon/engine/clock.hpp"

namespace kvasir {
namespace {

constexpr std::size_t kStreamBytes = 8U << 20U;  // on their way, each direction
constexpr std::uint64_t kPumpBytes = 1U
                                     << 20U;  // between two steps, so that streams keep their pace

const Error kCancelled{ErrorCode::conflict, "snapshot: ended while it was being written or read"};

}  // namespace

DiskTier::DiskTier(Parts parts, std::unique_ptr<SnapshotStore> store)
    : parts_(std::move(parts)), thread_(std::make_unique<DiskThread>(std::move(store))) {}

DiskTier::~DiskTier() {
    for (Saving& saving : saving_) {
        saving.job->pages->close(kCancelled);
        let_go(saving);
        if (saving.done) saving.done(kCancelled);
    }
    for (Restoring& restoring : restoring_) {
        restoring.pages->close(kCancelled);
        for (const Done& done : restoring.done)
            if (done) done(kCancelled);
    }
    restoring_.clear();
    thread_.reset();
}

SnapshotKey DiskTier::key_of(HolderKind kind, DomainId domain, const std::string& name) const {
    return {.domain = parts_.domains.at(domain), .kind = kind, .name = name};
}

bool DiskTier::has(HolderKind kind, DomainId domain, const std::string& name) {
    return reaches(domain) && thread_->store().has(key_of(kind, domain, name));
}

std::deque<DiskTier::Restoring>::iterator DiskTier::find_restoring(const SnapshotKey& key) {
    return std::ranges::find(restoring_, key, &Restoring::key);
}

bool DiskTier::is_restoring(HolderKind kind, DomainId domain, const std::string& name) const {
    return reaches(domain) && std::ranges::find(restoring_, key_of(kind, domain, name),
                                                &Restoring::key) != restoring_.end();
}

// ---- out ----

void DiskTier::save(const Holder& holder, Done done) {
    if (!reaches(holder.domain)) {
        if (done)
            done(Error{ErrorCode::unsupported,
                       "snapshot: only domains that the configuration names reach the disk"});
        return;
    }
    SnapshotPlan plan = plan_snapshot(parts_.cache, holder);
    const SnapshotKey key = key_of(holder.kind, holder.domain, holder.name);
    SnapshotHead& head = plan.head;
    head.numerics = parts_.numerics;
    head.domain = thread_->store().domain_fingerprint(key.domain);
    head.page_bytes = parts_.model.kv().shape().page_bytes();
    const std::uint64_t now = boot_clock_ms();
    const std::uint64_t wall = wall_clock_ms();
    head.created_ms = wall - std::min(wall, now - holder.created_ms);
    head.last_used_ms = wall - std::min(wall, now - holder.last_used_ms);
    Saving saving{.job = std::make_shared<DiskThread::Write>(),
                  .nodes = std::move(plan.nodes),
                  .done = std::move(done)};
    saving.job->key = key;
    saving.job->head = std::move(head);
    saving.job->pages = std::make_shared<PageStream>(kStreamBytes, parts_.wake);
    for (const Holder::Branch& branch : holder.branches) {
        const NodeId tip = parts_.cache.tip(branch.id);
        if (tip == kNoNode) continue;
        saving.held.push_back({parts_.cache.open_branch(), tip});
        parts_.cache.move_branch(saving.held.back().branch, tip);
    }
    saving_.push_back(std::move(saving));
    parts_.wake();
}

void DiskTier::let_go(Saving& saving) {
    for (const Saving::Held& held : saving.held) parts_.cache.close_branch(held.branch);
    saving.held.clear();
}

/// Under pressure even what is claimed goes, from the end of its path. What is hollow meanwhile is
/// still there.
void DiskTier::look_for_evicted(Saving& saving) {
    const KvCache& cache = parts_.cache;
    const auto unread = saving.nodes.begin() + static_cast<std::ptrdiff_t>(saving.n_read);
    // As long as no tip has moved, all nodes are in the tree.
    if (std::ranges::all_of(saving.held, [&](const Saving::Held& held) {
            return cache.tip(held.branch) == held.tip;
        }))
        return;
    std::set<NodeId> there;
    for (Saving::Held& held : saving.held) {
        held.tip = cache.tip(held.branch);
        for (NodeId node = held.tip; node != kNoNode; node = cache.tree().parent(node))
            there.insert(node);
    }
    const auto first_gone = std::find_if(unread, saving.nodes.end(),
                                         [&](NodeId node) { return !there.contains(node); });
    saving.nodes.erase(first_gone, saving.nodes.end());
}

/// True: more can be done at once.
bool DiskTier::pump_saving(Saving& saving) {
    if (!saving.is_queued) {
        saving.is_queued = true;
        saving.job->done = [this](Result<std::uint64_t> bytes) {
            {
                const std::lock_guard lock(mutex_);
                written_ = std::move(bytes);
            }
            parts_.wake();
        };
        thread_->write(saving.job);
    }
    PageStream& pages = *saving.job->pages;
    if (pages.is_closed()) return false;
    look_for_evicted(saving);
    SnapshotHead& head = saving.job->head;
    for (std::uint64_t moved = 0; moved < kPumpBytes; moved += head.page_bytes) {
        if (saving.n_read == saving.nodes.size()) {
            cut_snapshot(head, static_cast<std::uint32_t>(saving.n_read));
            pages.close();
            let_go(saving);
            return false;
        }
        if (!pages.has_room()) return false;
        const NodeId node = saving.nodes[saving.n_read];
        SnapshotPage& page = head.pages[saving.n_read];
        page.is_absent = parts_.cache.tree().is_hollow(node);
        PageBytes bytes;
        if (!page.is_absent) {
            bytes.resize(head.page_bytes);
            const auto read =
                read_cached_page(parts_.model, parts_.host, parts_.cache.tree(), node, bytes);
            if (read.has_error()) {  // what was read stands
                saving.nodes.resize(saving.n_read);
                continue;
            }
        }
        pages.push(std::move(bytes));
        ++saving.n_read;
    }
    return true;
}

/// True: another may begin.
bool DiskTier::collect_written() {
    std::optional<Result<std::uint64_t>> written;
    {
        const std::lock_guard lock(mutex_);
        written.swap(written_);
    }
    if (!written) return false;
    Saving saving = std::move(saving_.front());
    saving_.pop_front();
    let_go(saving);
    wipe(saving.job->head.pages);
    if (written->has_error()) {
        log_warn("snapshot not written", {{"reason", written->error().message}});
    } else {
        log_debug("snapshot written", {{"pages", saving.n_read}, {"bytes", **written}});
    }
    if (saving.done) saving.done(std::move(*written));
    return true;
}

// ---- and back ----

void DiskTier::restore(HolderKind kind, DomainId domain, const std::string& name, Done done) {
    if (!reaches(domain)) {
        if (done) done(Error{ErrorCode::not_found, "snapshot: there is none"});
        return;
    }
    const SnapshotKey key = key_of(kind, domain, name);
    if (const auto found = find_restoring(key); found != restoring_.end()) {
        found->done.push_back(std::move(done));
        return;
    }
    Restoring restoring{.key = key,
                        .domain = domain,
                        .pages = std::make_shared<PageStream>(kStreamBytes, parts_.wake),
                        .head = std::make_shared<std::optional<SnapshotHead>>()};
    restoring.done.push_back(std::move(done));
    auto job = std::make_shared<DiskThread::Read>();
    job->key = key;
    job->numerics = parts_.numerics;
    job->pages = restoring.pages;
    job->begun = [this, slot = restoring.head](SnapshotHead head) {
        {
            const std::lock_guard lock(mutex_);
            *slot = std::move(head);
        }
        parts_.wake();
    };
    restoring_.push_back(std::move(restoring));
    thread_->read(std::move(job));
}

/// True: more can be done at once. Ended ones have no callers left.
bool DiskTier::pump_restoring(Restoring& restoring) {
    const auto end = [&](Result<std::uint64_t> outcome) {
        restoring.pages->close(kCancelled);
        restoring.restore.reset();
        for (const Done& done : restoring.done)
            if (done) done(outcome);
        restoring.done.clear();
        return false;
    };
    if (!restoring.restore) {
        std::optional<SnapshotHead> head;
        {
            const std::lock_guard lock(mutex_);
            head.swap(*restoring.head);
        }
        if (!head) {
            if (restoring.pages->is_closed())
                return end(restoring.pages->error().value_or(kCancelled));
            return false;
        }
        if (head->page_bytes != parts_.model.kv().shape().page_bytes())
            return end(Error{ErrorCode::corrupt, "snapshot: its pages have another size"});
        restoring.restore = std::make_unique<SnapshotRestore>(parts_.model, parts_.cache,
                                                              restoring.domain, std::move(*head));
    }
    SnapshotRestore& restore = *restoring.restore;
    for (std::uint64_t moved = 0; moved < kPumpBytes; moved += restore.head().page_bytes) {
        if (restore.is_whole()) return end(finish_restore(restoring));
        auto page = restoring.pages->try_pop();
        if (!page) {
            if (restoring.pages->is_closed())
                return end(restoring.pages->error().value_or(kCancelled));
            return false;
        }
        const auto taken = restore.take(*page, boot_clock_ms());
        wipe(*page);
        if (taken.has_error()) return end(taken.error());
    }
    return true;
}

Result<std::uint64_t> DiskTier::finish_restore(Restoring& restoring) {
    const HolderKind kind = restoring.key.kind;
    const std::string& name = restoring.key.name;
    if (parts_.holders.find(kind, restoring.domain, name) != nullptr)
        return Error{ErrorCode::conflict, "snapshot: there is one of this name in memory"};
    const std::uint64_t now = boot_clock_ms();
    KVASIR_TRY(Holder* const holder, parts_.holders.use(kind, restoring.domain, name, now));
    restoring.restore->give(parts_.holders, *holder, now, wall_clock_ms());
    const auto n_pages = static_cast<std::uint64_t>(
        std::ranges::count(restoring.restore->head().pages, false, &SnapshotPage::is_absent));
    if (kind == HolderKind::prefix) {
        const bool is_empty = holder->branches.empty();
        if (!is_empty) {
            const NodeId tip = parts_.cache.tip(holder->branches.back().id);
            holder->n_tokens = (parts_.cache.tree().depth(tip) + 1) * kTokensPerPage;
            if (restoring.domain == kCommonDomain) {
                const auto pinned = parts_.cache.pin_branch(holder->branches.back().id);
                if (pinned.has_error()) {
                    parts_.holders.end(*holder, DropReason::space);
                    return pinned.error();
                }
            }
        }
    }
    log_info("snapshot restored",
             {{"kind", kind == HolderKind::prefix ? "prefix" : "session"}, {"pages", n_pages}});
    return n_pages * restoring.restore->head().page_bytes;
}

void DiskTier::restore_prefixes() {
    for (auto it = parts_.domains.rbegin(); it != parts_.domains.rend(); ++it) {  // common is last
        for (const std::string& name : thread_->store().prefix_names(it->second)) {
            restore(HolderKind::prefix, it->first, name, [](const Result<std::uint64_t>& outcome) {
                if (outcome.has_error())
                    log_warn("prefix not restored", {{"reason", outcome.error().message}});
            });
        }
    }
}

// ---- both ----

std::uint64_t DiskTier::remove(HolderKind kind, DomainId domain, const std::string& name) {
    if (!reaches(domain)) return 0;
    const SnapshotKey key = key_of(kind, domain, name);
    for (Saving& saving : saving_) {
        if (saving.job->key != key) continue;
        saving.job->pages->close(kCancelled);
        let_go(saving);
    }
    if (const auto found = find_restoring(key); found != restoring_.end()) {
        found->pages->close(kCancelled);
        for (const Done& done : found->done)
            if (done) done(kCancelled);
        restoring_.erase(found);
    }
    return thread_->store().remove(key);
}

bool DiskTier::pump() {
    bool more = collect_written();
    if (!saving_.empty()) more |= pump_saving(saving_.front());
    for (Restoring& restoring : restoring_) more |= pump_restoring(restoring);
    std::erase_if(restoring_, [](const Restoring& one) { return one.done.empty(); });
    return more;
}

}  // namespace kvasir
