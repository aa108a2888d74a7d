// DiskThread: reads and writes snapshots, so that the engine's thread does not.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "cache/snapshot_store.hpp"
#include "daemon/engine/page_stream.hpp"

namespace kvasir {

/// Jobs run in the order they come, one at a time. The destructor waits until all are done.
class DiskThread {
public:
    explicit DiskThread(std::unique_ptr<SnapshotStore> store);
    ~DiskThread();
    DiskThread(const DiskThread&) = delete;
    DiskThread& operator=(const DiskThread&) = delete;

    /// has and remove of it may be called from the engine's thread.
    SnapshotStore& store() { return *store_; }

    /// What the engine's thread and this one share of a snapshot being written. The engine pushes
    /// pages and closes; then `head` is final. done: on this thread.
    struct Write {
        SnapshotKey key;
        SnapshotHead head;  // the engine's until it closes the stream, then this thread's
        std::shared_ptr<PageStream> pages;
        std::function<void(Result<std::uint64_t> bytes)> done;
    };
    void write(std::shared_ptr<Write> job);

    /// Of one being read: this thread sets the head, then pushes every page and closes. begun: on
    /// this thread, before the first page.
    struct Read {
        SnapshotKey key;
        Fingerprint numerics;
        std::shared_ptr<PageStream> pages;
        std::function<void(SnapshotHead head)> begun;
    };
    void read(std::shared_ptr<Read> job);

private:
    void run();
    Result<std::uint64_t> do_write(Write& job);
    Result<> do_read(Read& job);

    std::unique_ptr<SnapshotStore> store_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::thread thread_;  // last: everything above is ready when it starts
};

}  // namespace kvasir
