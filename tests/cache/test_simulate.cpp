#include <algorithm>
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cache/simulate.hpp"
#include "tests/cache/random.hpp"

using namespace kvasir;

namespace {

using Trace = std::vector<TraceRequest>;

double rate(const Trace& trace, std::uint32_t n_pages, RetentionPolicy policy) {
    return simulate(trace, n_pages, policy).hit_rate();
}

/// The best that dropping leaves after each request can find, by trying every choice.
std::uint64_t best_by_trying(const Trace& trace, std::size_t n_pages, std::size_t i,
                             std::set<std::vector<std::uint64_t>> kept) {
    if (i == trace.size()) return 0;
    std::uint64_t n_found = 0;
    std::vector<std::uint64_t> path;
    bool matching = true;
    for (const std::uint64_t page : trace[i].pages) {
        path.push_back(page);
        matching = matching && kept.contains(path);
        if (matching) ++n_found;
        kept.insert(path);
    }
    // All subsets of n_pages that are closed upwards: drop leaves in every order.
    std::set<std::set<std::vector<std::uint64_t>>> choices = {kept};
    while (choices.begin()->size() > n_pages) {
        std::set<std::set<std::vector<std::uint64_t>>> smaller;
        for (const auto& choice : choices) {
            for (auto it = choice.begin(); it != choice.end(); ++it) {
                const auto below = std::next(it);
                if (below != choice.end() && below->size() > it->size() &&
                    std::equal(it->begin(), it->end(), below->begin()))
                    continue;
                auto rest = choice;
                rest.erase(*it);
                smaller.insert(std::move(rest));
            }
        }
        choices = std::move(smaller);
    }
    std::uint64_t best = 0;
    for (const auto& choice : choices)
        best = std::max(best, best_by_trying(trace, n_pages, i + 1, choice));
    return n_found + best;
}

/// Conversations under shared openings: Zipf-like choice, log-normal pauses, new pages every turn.
Trace conversations(std::uint64_t seed, std::size_t n_requests, std::uint32_t n_openings,
                    std::uint32_t opening_pages, std::uint32_t median_pause) {
    Random random(seed);
    std::uint64_t next_page = 1000000;
    std::multimap<std::uint64_t, std::vector<std::uint64_t>> waiting;  // by time of the next turn
    Trace trace;
    while (trace.size() < n_requests) {
        const std::uint64_t now = trace.size();
        std::vector<std::uint64_t> pages;
        if (!waiting.empty() && waiting.begin()->first <= now) {
            pages = waiting.begin()->second;
            waiting.erase(waiting.begin());
        } else {
            const auto opening = static_cast<std::uint64_t>(
                std::floor(std::pow(static_cast<double>(n_openings) + 1, random.unit()) - 1));
            for (std::uint64_t i = 0; i < opening_pages; ++i) pages.push_back(opening * 1000 + i);
        }
        for (std::uint32_t n = 2 + random.below(12); n > 0; --n) pages.push_back(next_page++);
        trace.push_back({.timestamp_ms = now * 1000, .pages = pages});
        if (random.one_in(2)) {
            const double normal = random.unit() + random.unit() + random.unit() + random.unit() - 2;
            const double pause = median_pause * std::exp(1.4 * normal);
            waiting.emplace(now + static_cast<std::uint64_t>(pause), pages);
        }
    }
    return trace;
}

/// What recency predicts best: the more recently a text was used, the likelier it is used again.
Trace recency_friendly(std::uint64_t seed, std::size_t n_requests) {
    Random random(seed);
    std::vector<std::vector<std::uint64_t>> stack;
    std::uint64_t next_page = 0;
    Trace trace;
    while (trace.size() < n_requests) {
        std::vector<std::uint64_t> pages;
        if (!stack.empty() && !random.one_in(4)) {
            const double depth = 1 / (random.unit() + 1e-6) - 1;
            const auto place =
                static_cast<std::ptrdiff_t>(std::min(depth, static_cast<double>(stack.size() - 1)));
            pages = *(stack.end() - 1 - place);
            stack.erase(stack.end() - 1 - place);
        }
        const std::uint32_t n_new = pages.size() > 60 ? 0 : 1 + random.below(8);
        for (std::uint32_t i = 0; i < n_new; ++i) pages.push_back(next_page++);
        stack.push_back(pages);
        trace.push_back({.timestamp_ms = trace.size(), .pages = pages});
    }
    return trace;
}

Trace loop(std::size_t n_requests, std::uint64_t n_texts) {
    Trace trace;
    for (std::size_t i = 0; i < n_requests; ++i) {
        TraceRequest request{.timestamp_ms = i, .pages = {}};
        for (std::uint64_t j = 0; j < 10; ++j) request.pages.push_back(i % n_texts * 100 + j);
        trace.push_back(request);
    }
    return trace;
}

/// Shared openings, and now and then a flood of requests that never come again.
Trace floods(std::uint64_t seed, std::size_t n_requests) {
    Random random(seed);
    std::uint64_t next_page = 1000000;
    Trace trace;
    while (trace.size() < n_requests) {
        const bool flood = random.one_in(100);
        for (std::uint32_t n = flood ? 60 : 1; n > 0; --n) {
            TraceRequest request{.timestamp_ms = trace.size(), .pages = {}};
            const std::uint64_t opening = random.below(10) * random.below(10);
            for (std::uint64_t i = 0; !flood && i < 10; ++i)
                request.pages.push_back(opening * 100 + i);
            for (std::uint32_t i = flood ? 40 : 3; i > 0; --i) request.pages.push_back(next_page++);
            trace.push_back(request);
        }
    }
    return trace;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simulate)

BOOST_AUTO_TEST_CASE(a_page_is_found_as_part_of_a_prefix_only) {
    const Trace trace = {{0, {1, 2, 3}}, {1, {1, 2, 3}}, {2, {1, 9, 3}}, {3, {2, 3}}};
    for (const RetentionPolicy policy :
         {RetentionPolicy::kvasir, RetentionPolicy::lru, RetentionPolicy::fifo}) {
        const SimulationResult result = kvasir::simulate(trace, 100, policy);
        BOOST_TEST(result.n_pages_asked == 11U);
        BOOST_TEST(result.n_pages_found == 4U);
    }
    BOOST_TEST(simulate_clairvoyant(trace, 100).n_pages_found == 4U);
}

BOOST_AUTO_TEST_CASE(empty_traces_and_tiny_caches_are_simulated_too) {
    BOOST_TEST(kvasir::simulate({}, 10, RetentionPolicy::lru).hit_rate() == 0.0);
    const Trace trace = {{0, {}}, {1, {1, 2, 3}}, {2, {1, 2, 3}}};
    BOOST_TEST(kvasir::simulate(trace, 0, RetentionPolicy::kvasir).n_pages_found == 0U);
    BOOST_TEST(kvasir::simulate(trace, 2, RetentionPolicy::kvasir).n_pages_found == 2U);
    BOOST_TEST(simulate_clairvoyant(trace, 2).n_pages_found == 2U);
    BOOST_TEST(simulate_clairvoyant(trace, 0).n_pages_found == 0U);
}

BOOST_DATA_TEST_CASE(the_clairvoyant_finds_the_optimum, boost::unit_test::data::xrange(60), seed) {
    Random random(static_cast<std::uint64_t>(seed));
    Trace trace;
    for (std::uint64_t i = 0; i < 6; ++i) {
        TraceRequest request{.timestamp_ms = i, .pages = {}};
        for (std::uint32_t n = 1 + random.below(3); n > 0; --n)
            request.pages.push_back(random.below(2));
        trace.push_back(request);
    }
    for (std::uint32_t n_pages = 0; n_pages < 5; ++n_pages)
        BOOST_TEST(simulate_clairvoyant(trace, n_pages).n_pages_found ==
                   best_by_trying(trace, n_pages, 0, {}));
}

BOOST_AUTO_TEST_CASE(the_learned_policy_keeps_part_of_a_loop_that_lru_loses_whole) {
    const Trace trace = loop(3000, 60);
    BOOST_TEST(rate(trace, 300, RetentionPolicy::lru) == 0.0);
    BOOST_TEST(rate(trace, 300, RetentionPolicy::kvasir) > 0.35);  // the optimum is just below 1/2
}

BOOST_AUTO_TEST_CASE(the_learned_policy_outlives_floods) {
    const Trace trace = floods(3, 4000);
    const double lru = rate(trace, 800, RetentionPolicy::lru);
    const double best = simulate_clairvoyant(trace, 800).hit_rate();
    BOOST_TEST(rate(trace, 800, RetentionPolicy::kvasir) > lru + 0.3 * (best - lru));
}

BOOST_AUTO_TEST_CASE(the_learned_policy_is_nowhere_far_below_lru) {
    for (const std::uint32_t n_pages : {200U, 600U, 2000U, 6000U}) {
        for (const Trace& trace :
             {conversations(1, 3000, 40, 12, 60), conversations(2, 3000, 3, 2, 20),
              conversations(3, 3000, 400, 30, 200), recency_friendly(4, 3000)}) {
            const double lru = rate(trace, n_pages, RetentionPolicy::lru);
            BOOST_TEST(rate(trace, n_pages, RetentionPolicy::kvasir) > 0.98 * lru);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_production_trace_gives_the_known_figures) {
    const std::filesystem::path path =
        std::filesystem::path(KVASIR_SHARED_DIR) / "traces/conversation.jsonl";
    if (!std::filesystem::exists(path)) {
        BOOST_TEST_MESSAGE("skipped: " << path << " is absent");
        return;
    }
    struct Row {
        std::uint32_t n_pages;
        double lru;
        double clairvoyant;
    };
    const Trace trace = read_trace(path).value();
    BOOST_TEST(trace.size() == 12031U);
    double way = 0;  // from lru to the clairvoyant
    const std::array<Row, 3> rows = {
        {{1000, 0.044, 0.191}, {5000, 0.112, 0.341}, {10000, 0.212, 0.366}}};
    for (const Row& row : rows) {
        const double lru = rate(trace, row.n_pages, RetentionPolicy::lru);
        const double best = simulate_clairvoyant(trace, row.n_pages).hit_rate();
        const double kvasir = rate(trace, row.n_pages, RetentionPolicy::kvasir);
        BOOST_TEST_MESSAGE(row.n_pages << " pages: lru " << lru << ", kvasir " << kvasir
                                       << ", clairvoyant " << best);
        BOOST_TEST(std::abs(lru - row.lru) < 0.001);
        BOOST_TEST(std::abs(best - row.clairvoyant) < 0.001);
        BOOST_TEST(kvasir > lru);
        way += (kvasir - lru) / (best - lru) / static_cast<double>(rows.size());
    }
    BOOST_TEST_MESSAGE("way to the clairvoyant: " << way);
    BOOST_TEST(way > 0.22);
}

BOOST_AUTO_TEST_SUITE_END()
