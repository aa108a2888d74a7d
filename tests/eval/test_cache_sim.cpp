// kvasir-eval cache-sim: a trace small enough to reckon by hand, and the shared one.
#include <filesystem>

#include "tests/eval/run_eval.hpp"

namespace kvasir {
namespace {

using namespace kvasir::test;

double hit_rate(const std::string& trace, const std::string& pages, const std::string& policy) {
    const auto result =
        run_eval({"cache-sim", "--trace", trace, "--pages", pages, "--policy", policy}).json();
    return result.at("hit_rate").to_number<double>();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cache_sim)

BOOST_AUTO_TEST_CASE(a_trace_reckoned_by_hand) {
    // 10 pages asked for. Room for all: 1 2, then 1 are found. Room for two: lru keeps 1 2 for the
    // second request and 4 5 for the last two; who knows the future does no better here.
    const TextFile trace(
        "{\"timestamp\": 0, \"hash_ids\": [1, 2]}\n{\"timestamp\": 1, \"hash_ids\": [1, 2]}\n"
        "{\"timestamp\": 2, \"hash_ids\": [4, 5]}\n\n{\"timestamp\": 3, \"hash_ids\": [4, 6]}\n"
        "{\"timestamp\": 4, \"hash_ids\": [1, 7]}\n");
    for (const char* policy : {"kvasir", "lru", "fifo", "clairvoyant"})
        BOOST_TEST(hit_rate(trace.name(), "10", policy) == 0.4, policy);
    BOOST_TEST(hit_rate(trace.name(), "2", "lru") == 0.3);
}

BOOST_AUTO_TEST_CASE(the_shared_trace_is_a_tenth_of_the_way_from_lru_to_the_clairvoyant) {
    const std::string trace = std::string(KVASIR_SHARED_DIR) + "/traces/conversation.jsonl";
    if (!std::filesystem::exists(trace)) {
        BOOST_TEST_MESSAGE("skipped: " << trace << " is not there");
        return;
    }
    double way = 0;
    for (const char* pages : {"1000", "5000", "10000"}) {
        const double lru = hit_rate(trace, pages, "lru");
        const double ours = hit_rate(trace, pages, "kvasir");
        const double best = hit_rate(trace, pages, "clairvoyant");
        BOOST_TEST(ours >= lru, pages);
        way += (ours - lru) / (best - lru) / 3;
    }
    BOOST_TEST(way >= 0.10);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
