#include "daemon/http/connection_set.hpp"

#include <utility>
#include <vector>

namespace kvasir {

void ConnectionSet::add(StoppableConnection* key, std::weak_ptr<StoppableConnection> connection) {
    const std::lock_guard lock(mutex_);
    connections_.emplace(key, std::move(connection));
}

void ConnectionSet::remove(StoppableConnection* key) noexcept {
    const std::lock_guard lock(mutex_);
    connections_.erase(key);
    if (connections_.empty()) changed_.notify_all();
}

std::size_t ConnectionSet::size() const {
    const std::lock_guard lock(mutex_);
    return connections_.size();
}

bool ConnectionSet::wait_empty(std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return connections_.empty(); });
}

void ConnectionSet::for_each(void (StoppableConnection::*action)()) {
    std::vector<std::shared_ptr<StoppableConnection>> alive;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, connection] : connections_) {
            if (std::shared_ptr<StoppableConnection> one = connection.lock())
                alive.push_back(std::move(one));
        }
    }
    for (const auto& one : alive) (one.get()->*action)();
}

}  // namespace kvasir
