#include "daemon/engine/disk_thread.hpp"

#include <new>

#include "config/base/wipe.hpp"
#include "daemon/engine/clock.hpp"

namespace kvasir {

DiskThread::DiskThread(std::unique_ptr<SnapshotStore> store)
    : store_(std::move(store)), thread_([this] { run(); }) {}

DiskThread::~DiskThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void DiskThread::run() {
    while (true) {
        std::function<void()> job;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        job();
    }
}

void DiskThread::write(std::shared_ptr<Write> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.emplace_back([this, job = std::move(job)] {
            Result<std::uint64_t> written(0);
            try {
                written = do_write(*job);
            } catch (const std::bad_alloc&) {
                written = Error{ErrorCode::exhausted, "snapshot: no memory to write it"};
            }
            if (written.has_error()) job->pages->close(written.error());
            job->done(std::move(written));
        });
    }
    wake_.notify_one();
}

Result<std::uint64_t> DiskThread::do_write(Write& job) {
    KVASIR_TRY(SnapshotWriter writer, store_->create(job.key));
    while (auto page = job.pages->wait_pop()) {
        const auto added = page->empty() ? writer.add_absent_page() : writer.add_page(*page);
        wipe(*page);
        KVASIR_TRY_VOID(added);
    }
    if (const auto error = job.pages->error()) return *error;
    KVASIR_TRY_VOID(writer.finish(job.head));
    const std::uint64_t bytes = writer.bytes_written();
    KVASIR_TRY_VOID(store_->publish(writer, wall_clock_ms()));
    return bytes;
}

void DiskThread::read(std::shared_ptr<Read> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.emplace_back([this, job = std::move(job)] {
            Result<> status;
            try {
                status = do_read(*job);
            } catch (const std::bad_alloc&) {
                status = Error{ErrorCode::exhausted, "snapshot: no memory to read it"};
            }
            job->pages->close(status.has_error() ? std::optional(status.error()) : std::nullopt);
        });
    }
    wake_.notify_one();
}

Result<> DiskThread::do_read(Read& job) {
    KVASIR_TRY(SnapshotReader reader, store_->read(job.key, job.numerics, wall_clock_ms()));
    job.begun(reader.head());
    for (std::uint32_t i = 0; i < reader.head().pages.size(); ++i) {
        if (reader.head().pages[i].is_absent) continue;
        PageBytes bytes(reader.head().page_bytes);
        const auto read = reader.read_page(i, bytes);
        if (read.has_error()) {
            if (read.error().code == ErrorCode::corrupt) store_->refuse(job.key, read.error());
            return read.error();
        }
        if (!job.pages->wait_push(std::move(bytes))) return {};
    }
    return {};
}

}  // namespace kvasir
