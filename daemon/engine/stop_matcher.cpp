#include "daemon/engine/stop_matcher.hpp"

#include <algorithm>
#include <utility>

namespace kvasir {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
        if (stop.empty()) continue;
        Pattern pattern{stop, std::vector<std::size_t>(stop.size(), 0), 0};
        for (std::size_t i = 1, border = 0; i < stop.size(); ++i) {
            while (border > 0 && stop[i] != stop[border]) border = pattern.border[border - 1];
            if (stop[i] == stop[border]) ++border;
            pattern.border[i] = border;
        }
        patterns_.push_back(std::move(pattern));
    }
}

bool StopMatcher::advance(Pattern& pattern, char byte) {
    std::size_t& n = pattern.n_matched;
    while (n > 0 && pattern.text[n] != byte) n = pattern.border[n - 1];
    if (pattern.text[n] == byte) ++n;
    return n == pattern.text.size();
}

StopMatcher::Released StopMatcher::push(std::string_view piece) {
    if (stopped_) return {{}, true};
    const std::size_t n_before = held_.size();
    held_.append(piece);
    for (std::size_t i = n_before; i < held_.size(); ++i) {
        std::size_t longest = 0;
        for (Pattern& pattern : patterns_) {
            if (advance(pattern, held_[i])) longest = std::max(longest, pattern.text.size());
        }
        if (longest > 0) {
            stopped_ = true;
            held_.resize(i + 1 - longest);
            return {std::exchange(held_, {}), true};
        }
    }
    std::size_t n_held = 0;
    for (const Pattern& pattern : patterns_) n_held = std::max(n_held, pattern.n_matched);
    Released released{held_.substr(0, held_.size() - n_held), false};
    held_.erase(0, held_.size() - n_held);
    return released;
}

std::string StopMatcher::finish() {
    for (Pattern& pattern : patterns_) pattern.n_matched = 0;
    return std::exchange(held_, {});
}

}  // namespace kvasir
