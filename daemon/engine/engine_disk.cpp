// Engine: sessions and prefixes that come back from disk, and go there.
#include <algorithm>
#include <chrono>
#include <thread>

#include "config/base/log.hpp"
#include "daemon/engine/clock.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/engine/numerics.hpp"

namespace kvasir {

/// Opens the store and brings the prefixes back, before there is anybody to ask for them.
Result<> Engine::open_disk(const Model::Progress& progress) {
    const EngineOptions::Disk& disk = options_.disk;
    if (disk.budget_bytes == 0) return {};
    if (progress) progress(1, "opening the disk tier");
    DiskTier::Parts parts{.model = *model_,
                          .host = host_pages_.get(),
                          .cache = *cache_,
                          .holders = *holders_,
                          .domains = disk.domains,
                          .wake = [this] {
                              {
                                  const std::lock_guard lock(mutex_);
                                  disk_is_ready_ = true;
                              }
                              wake_.notify_one();
                          }};
    KVASIR_TRY(parts.numerics, numerics_fingerprint(*model_, options_.model.path));
    KVASIR_TRY(auto store,
               SnapshotStore::open(
                   {.dir = disk.dir, .budget_bytes = disk.budget_bytes, .scrub = options_.scrub},
                   wall_clock_ms()));
    log_info("disk tier", {{"dir", disk.dir.string()},
                           {"budget_bytes", disk.budget_bytes},
                           {"bytes", store->bytes_used()},
                           {"snapshots", store->n_snapshots()},
                           {"domains", disk.domains.size()}});
    disk_ = std::make_unique<DiskTier>(std::move(parts), std::move(store));
    disk_->restore_prefixes();
    for (std::size_t i = 0; disk_->is_busy(); ++i) {
        if (progress && i % 512 == 511) progress(1, "restoring prefixes");
        if (!disk_->pump()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
}

void Engine::forget(const Holder& holder, DropReason reason) {
    // What only had to make room may come back from disk.
    if (disk_ && (reason == DropReason::ended || reason == DropReason::expired))
        disk_->remove(holder.kind, holder.domain, holder.name);
    if (options_.on_forget) options_.on_forget(holder.kind, holder.domain, holder.name);
}

/// Its session lies on disk, and is on its way back.
bool Engine::waits_for_disk(Submitted& order) {
    const std::string& session = order.request.session;
    if (!disk_ || session.empty()) return false;
    const DomainId domain{order.request.domain};
    if (disk_->is_restoring(HolderKind::session, domain, session)) return true;
    if (order.looked_on_disk || holders_->find(HolderKind::session, domain, session) != nullptr ||
        !disk_->has(HolderKind::session, domain, session))
        return false;
    order.looked_on_disk = true;  // where it cannot be had, the request computes it anew
    disk_->restore(HolderKind::session, domain, session, {});
    return true;
}

void Engine::pump_disk() {
    if (!disk_ || !disk_->is_busy() || !disk_->pump()) return;
    const std::lock_guard lock(mutex_);
    disk_is_ready_ = true;
}

}  // namespace kvasir
