// Which sequences read splits together, against a plain reading of what that means.
#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <set>
#include <vector>

#include "daemon/model/shared_splits.hpp"
#include "tests/cache/random.hpp"
#include "vk_kernels/shared/attention_paged.h"

namespace kvasir {
namespace {

namespace data = boost::unit_test::data;

constexpr std::uint32_t kSplit = shared::kSplitPages;

using Pages = std::vector<PageId>;

/// A letter a split.
Pages pages_of(std::string_view letters) {
    Pages pages;
    for (const char letter : letters)
        for (std::uint32_t i = 0; i < kSplit; ++i)
            pages.push_back(PageId{static_cast<std::uint32_t>(letter) * 100 + i});
    return pages;
}

SplitPlan plan(const std::vector<Pages>& sequences, std::uint32_t n_least, std::uint32_t n_most,
               std::uint32_t most_listed = 1000) {
    const std::vector<std::span<const PageId>> views(sequences.begin(), sequences.end());
    return share_splits(views, n_least, n_most, most_listed);
}

/// Every split that a sequence does not read for itself is read for it once, in company that has
/// the same pages up to its end.
void check(const std::vector<Pages>& sequences, const SplitPlan& plan, std::uint32_t n_most) {
    BOOST_REQUIRE(plan.first_own.size() == sequences.size());
    std::vector<std::set<std::uint32_t>> read(sequences.size());
    for (const SharedSplits& one : plan.shared) {
        BOOST_REQUIRE(!one.members.empty() && one.members.size() <= n_most);
        BOOST_REQUIRE(one.first_split < one.end_split);
        const std::size_t n_pages = std::size_t{one.end_split} * kSplit;
        const Pages& first = sequences[one.members.front()];
        for (const std::uint32_t member : one.members) {
            BOOST_REQUIRE(sequences[member].size() >= n_pages);
            BOOST_REQUIRE(std::equal(first.begin(),
                                     first.begin() + static_cast<std::ptrdiff_t>(n_pages),
                                     sequences[member].begin()));
            for (std::uint32_t split = one.first_split; split < one.end_split; ++split)
                BOOST_REQUIRE(read[member].insert(split).second);
        }
    }
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        BOOST_REQUIRE(read[i].size() == plan.first_own[i]);
        BOOST_REQUIRE(read[i].empty() || *read[i].rbegin() + 1 == plan.first_own[i]);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shared_splits)

BOOST_AUTO_TEST_CASE(what_the_drawing_says) {
    const std::vector<Pages> sequences = {pages_of("sstu"), pages_of("sst"), pages_of("sv"), {}};
    const SplitPlan made = plan(sequences, 2, 4);
    check(sequences, made, 4);
    BOOST_TEST(made.shared.size() == 2U);
    BOOST_TEST((made.first_own == std::vector<std::uint32_t>{3, 3, 1, 0}));
    BOOST_TEST(plan(sequences, 0, 4).shared.empty());
    BOOST_TEST(plan(sequences, 4, 4).shared.empty());
    const SplitPlan three = plan(sequences, 3, 4);
    BOOST_TEST((three.first_own == std::vector<std::uint32_t>{1, 1, 1, 0}));
    BOOST_TEST(plan(sequences, 2, 4, 4).shared.size() == 1U);  // no room to list the second
    BOOST_TEST(plan({}, 2, 4).first_own.empty());
}

BOOST_AUTO_TEST_CASE(many_are_dealt_out_evenly) {
    const std::vector<Pages> sequences(9, pages_of("ab"));
    const SplitPlan made = plan(sequences, 2, 4);
    check(sequences, made, 4);
    BOOST_REQUIRE(made.shared.size() == 3U);
    for (const SharedSplits& one : made.shared) BOOST_TEST(one.members.size() == 3U);
}

BOOST_DATA_TEST_CASE(random_sequences, data::xrange(n_seeds(300)), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    std::vector<Pages> sequences;
    const std::uint32_t n = random.below(20);
    for (std::uint32_t i = 0; i < n; ++i) {
        std::string letters;
        const std::uint32_t length = random.below(6);
        while (letters.size() < length) letters += static_cast<char>('a' + random.below(2));
        sequences.push_back(pages_of(letters));
    }
    const std::uint32_t n_least = 2 + random.below(3);
    const std::uint32_t n_most = 2 + random.below(4);
    const SplitPlan made = plan(sequences, n_least, n_most);
    check(sequences, made, n_most);
    // Nobody who could share reads alone.
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::size_t end = std::size_t{made.first_own[i] + 1} * kSplit;
        if (sequences[i].size() < end) continue;
        const auto has_same = [&](const Pages& other) {
            return other.size() >= end &&
                   std::equal(other.begin(), other.begin() + static_cast<std::ptrdiff_t>(end),
                              sequences[i].begin());
        };
        BOOST_TEST(std::ranges::count_if(sequences, has_same) < n_least);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
