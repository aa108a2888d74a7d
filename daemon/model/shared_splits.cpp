#include "daemon/model/shared_splits.hpp"

#include <algorithm>
#include <numeric>

#include "vk_kernels/shared/attention_paged.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kSplit = shared::kSplitPages;

class Planner {
public:
    Planner(std::span<const std::span<const PageId>> pages, std::uint32_t n_least,
            std::uint32_t n_most, std::uint32_t most_listed)
        : pages_(pages), n_least_(n_least), n_most_(n_most), n_left_(most_listed) {
        plan_.first_own.resize(pages.size());
    }

    SplitPlan plan() && {
        std::vector<std::uint32_t> all(pages_.size());
        std::iota(all.begin(), all.end(), 0U);
        std::ranges::sort(all, [&](std::uint32_t a, std::uint32_t b) {
            return std::ranges::lexicographical_compare(pages_[a], pages_[b]);
        });
        share(all, 0);
        return std::move(plan_);
    }

private:
    /// run: in order, equal in all splits before `from`.
    void share(std::span<const std::uint32_t> run, std::uint32_t from) {
        if (run.size() < n_least_) return;
        // In order: what first and last have in common, all have.
        const std::span<const PageId> first = pages_[run.front()];
        const auto [differs, other] = std::ranges::mismatch(first, pages_[run.back()]);
        const std::uint32_t end = static_cast<std::uint32_t>(differs - first.begin()) / kSplit;
        if (end > from) {
            if (run.size() > n_left_) return;
            deal_out(run, from, end);
        }
        while (!run.empty()) {
            std::size_t n = 1;
            while (n < run.size() && has_equal_split(run[0], run[n], end)) ++n;
            if (pages_[run[0]].size() > std::size_t{end} * kSplit) share(run.first(n), end);
            run = run.subspan(n);
        }
    }

    void deal_out(std::span<const std::uint32_t> run, std::uint32_t from, std::uint32_t end) {
        n_left_ -= static_cast<std::uint32_t>(run.size());
        const std::size_t n_parts = (run.size() + n_most_ - 1) / n_most_;
        for (std::size_t i = 0; i < n_parts; ++i) {
            const std::size_t begin = run.size() * i / n_parts;
            const auto part = run.subspan(begin, run.size() * (i + 1) / n_parts - begin);
            plan_.shared.push_back({from, end, {part.begin(), part.end()}});
        }
        for (const std::uint32_t member : run) plan_.first_own[member] = end;
    }

    bool has_equal_split(std::uint32_t a, std::uint32_t b, std::uint32_t split) const {
        const std::size_t at = std::size_t{split} * kSplit;
        if (pages_[a].size() < at + kSplit || pages_[b].size() < at + kSplit) return false;
        return std::ranges::equal(pages_[a].subspan(at, kSplit), pages_[b].subspan(at, kSplit));
    }

    std::span<const std::span<const PageId>> pages_;
    std::uint32_t n_least_;
    std::uint32_t n_most_;
    std::uint32_t n_left_;
    SplitPlan plan_;
};

}  // namespace

SplitPlan share_splits(std::span<const std::span<const PageId>> pages, std::uint32_t n_least,
                       std::uint32_t n_most, std::uint32_t most_listed) {
    if (n_least == 0 || n_most == 0)
        return {.shared = {}, .first_own = std::vector<std::uint32_t>(pages.size())};
    return Planner(pages, std::max(n_least, 2U), n_most, most_listed).plan();
}

}  // namespace kvasir
