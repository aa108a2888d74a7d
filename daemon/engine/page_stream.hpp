// PageStream: pages' bytes on their way between the engine's thread and the disk's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir {

using PageBytes = std::vector<std::byte>;

/// A bounded queue. On the way out an absent page is empty; there is none on the way back. The
/// disk's end waits, the engine's never does. wake: called whenever the
/// engine's end may have something new to do; any thread.
class PageStream {
public:
    PageStream(std::size_t most_bytes, std::function<void()> wake)
        : most_bytes_(most_bytes), wake_(std::move(wake)) {}

    // ---- the engine's end ----

    /// There is room for another page; always for one.
    bool has_room() const {
        const std::lock_guard lock(mutex_);
        return n_bytes_ < most_bytes_;
    }
    void push(PageBytes page) {
        {
            const std::lock_guard lock(mutex_);
            n_bytes_ += page.size();
            pages_.push_back(std::move(page));
        }
        changed_.notify_one();
    }
    std::optional<PageBytes> try_pop() {
        std::optional<PageBytes> page;
        {
            const std::lock_guard lock(mutex_);
            page = take();
        }
        changed_.notify_one();
        return page;
    }

    // ---- the disk's end ----

    /// False: closed meanwhile, by the engine.
    bool wait_push(PageBytes page) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return closed_ || n_bytes_ < most_bytes_; });
            if (closed_) return false;
            n_bytes_ += page.size();
            pages_.push_back(std::move(page));
        }
        wake_();
        return true;
    }
    /// nullopt: closed, and nothing is left.
    std::optional<PageBytes> wait_pop() {
        std::optional<PageBytes> page;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return closed_ || !pages_.empty(); });
            page = take();
        }
        wake_();
        return page;
    }

    // ---- both ----

    /// Nothing more is pushed. With an error: what there is of it is void.
    void close(std::optional<Error> error = {}) {
        {
            const std::lock_guard lock(mutex_);
            if (!closed_) error_ = std::move(error);
            closed_ = true;
        }
        changed_.notify_all();
        wake_();
    }
    bool is_closed() const {
        const std::lock_guard lock(mutex_);
        return closed_;
    }
    std::optional<Error> error() const {
        const std::lock_guard lock(mutex_);
        return error_;
    }

private:
    std::optional<PageBytes> take() {
        if (pages_.empty()) return std::nullopt;
        PageBytes page = std::move(pages_.front());
        pages_.pop_front();
        n_bytes_ -= page.size();
        return page;
    }

    const std::size_t most_bytes_;
    const std::function<void()> wake_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<PageBytes> pages_;
    std::size_t n_bytes_ = 0;
    bool closed_ = false;
    std::optional<Error> error_;
};

}  // namespace kvasir
