// Collector: a request's output, kept for a test to look at.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "daemon/engine/generation.hpp"

namespace kvasir::test {

/// Keeps everything; wait() blocks until the end.
class Collector : public GenerationSink {
public:
    void on_chunk(GenerationChunk chunk) noexcept override {
        const std::lock_guard lock(mutex_);
        text += chunk.text;
        for (GeneratedToken& token : chunk.tokens) tokens.push_back(std::move(token));
        changed_.notify_all();
    }
    void on_end(GenerationEnd what) noexcept override {
        const std::lock_guard lock(mutex_);
        end = std::move(what);
        ++n_ends;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return n_ends > 0; });
    }
    void wait_for_tokens(std::size_t n) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return n_ends > 0 || tokens.size() >= n; });
    }

    std::string text;
    std::vector<GeneratedToken> tokens;
    GenerationEnd end;
    int n_ends = 0;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace kvasir::test
