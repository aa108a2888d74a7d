// TopPoller: asks the daemon for its figures again and again, on a thread of its own, so that a
// daemon in the middle of a long step holds up nobody's keys.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "config/base/error.hpp"
#include "config/base/file_descriptor.hpp"
#include "daemon/kvasir/http_client.hpp"
#include "daemon/kvasir/top_report.hpp"

namespace kvasir::client {

struct TopLook {
    TopReport report;
    bool cannot_connect = false;
};

/// At most one object at a time. Its destructor ends a question that waits for its answer.
class TopPoller {
public:
    TopPoller(const Endpoint& endpoint, std::chrono::milliseconds interval);
    ~TopPoller();
    TopPoller(const TopPoller&) = delete;
    TopPoller& operator=(const TopPoller&) = delete;

    int fd() const { return ready_.get(); }  // readable while there is a look to take
    std::optional<TopLook> take();

private:
    void run();
    TopLook look();
    /// Errors: io, corrupt, too_large; conflict where stop was wanted.
    Result<HttpReply> ask(const char* path);
    /// The body of a 200; of anything else nothing.
    Result<std::string> body_of(const char* path);

    Endpoint endpoint_;
    std::chrono::milliseconds interval_;
    TopHistory history_;
    std::string models_;  // asked once
    bool cannot_connect_ = false;
    FileDescriptor ready_;
    FileDescriptor stop_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<TopLook> looks_;
    bool stops_ = false;
    std::atomic<bool> has_ended_{false};
    std::thread thread_;
};

}  // namespace kvasir::client
