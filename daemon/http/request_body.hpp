// A request's body and its share of the budget for all bodies.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kvasir {

/// Grows as bytes arrive, so a client that only announces a body costs nothing. Gives its share
/// back when destroyed.
class RequestBody {
public:
    RequestBody() = default;
    RequestBody(std::atomic<std::uint64_t>& held, std::uint64_t budget)
        : held_(&held), budget_(budget) {}
    RequestBody(RequestBody&& other) noexcept
        : held_(other.held_),
          budget_(other.budget_),
          bytes_(std::move(other.bytes_)),
          charged_(std::exchange(other.charged_, 0)) {
        other.bytes_.clear();
    }
    RequestBody& operator=(RequestBody&& other) noexcept {
        if (this != &other) {
            release();
            held_ = other.held_;
            budget_ = other.budget_;
            bytes_ = std::move(other.bytes_);
            other.bytes_.clear();
            charged_ = std::exchange(other.charged_, 0);
        }
        return *this;
    }
    ~RequestBody() { release(); }

    /// False: the budget for all bodies is spent; nothing was added.
    bool append(std::string_view more) {
        if (held_ != nullptr) {
            const std::uint64_t before = held_->fetch_add(more.size());
            charged_ += more.size();
            if (before + more.size() > budget_) {
                held_->fetch_sub(more.size());
                charged_ -= more.size();
                return false;
            }
        }
        bytes_.append(more);
        return true;
    }

    std::string_view bytes() const { return bytes_; }

private:
    void release() noexcept {
        if (held_ != nullptr && charged_ != 0) held_->fetch_sub(charged_);
        charged_ = 0;
    }

    std::atomic<std::uint64_t>* held_ = nullptr;
    std::uint64_t budget_ = 0;
    std::string bytes_;
    std::size_t charged_ = 0;
};

}  // namespace kvasir
