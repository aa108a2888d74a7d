// The open connections of a server, for the day it stops.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace kvasir {

/// What the server does to a connection when it stops. Any thread.
class StoppableConnection {
public:
    virtual ~StoppableConnection() = default;
    virtual void begin_stop() = 0;  // close if idle, else after the running request
    virtual void force_stop() = 0;  // end the running request with an error
    virtual void close_now() = 0;
};

/// Any thread.
class ConnectionSet {
public:
    void add(StoppableConnection* key, std::weak_ptr<StoppableConnection> connection);
    void remove(StoppableConnection* key) noexcept;
    std::size_t size() const;
    bool wait_empty(std::chrono::milliseconds timeout) const;
    void for_each(void (StoppableConnection::*action)());

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::unordered_map<StoppableConnection*, std::weak_ptr<StoppableConnection>> connections_;
};

}  // namespace kvasir
