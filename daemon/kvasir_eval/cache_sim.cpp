// kvasir-eval cache-sim: what a retention policy finds of a trace of requests, without a device.
#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <fmt/format.h>
#include <iostream>

#include "cache/simulate.hpp"
#include "daemon/kvasir_eval/session.hpp"

namespace kvasir::eval {
namespace {

struct Policy {
    std::string_view name;
    SimulationResult (*run)(std::span<const TraceRequest>, std::uint32_t n_pages);
};

template <RetentionPolicy policy>
SimulationResult run_policy(std::span<const TraceRequest> trace, std::uint32_t n_pages) {
    return simulate(trace, n_pages, policy);
}

constexpr std::array kPolicies = {
    Policy{"kvasir", run_policy<RetentionPolicy::kvasir>},
    Policy{"lru", run_policy<RetentionPolicy::lru>},
    Policy{"fifo", run_policy<RetentionPolicy::fifo>},
    Policy{"clairvoyant", simulate_clairvoyant},
};

Result<Policy> find_policy(std::string_view name) {
    for (const Policy& policy : kPolicies)
        if (policy.name == name) return policy;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("--policy {}: expected kvasir, lru, fifo or clairvoyant", name)};
}

}  // namespace

Result<> run_cache_sim(const Arguments& arguments) {
    options::options_description known;
    known.add_options()("trace", options::value<std::string>()->required(),
                        "requests, one JSON object a line")(
        "pages", options::value<std::uint32_t>()->required(), "pages of the cache")(
        "policy", options::value<std::string>()->default_value("kvasir"),
        "kvasir, lru, fifo or clairvoyant");
    KVASIR_TRY(const auto given, parse(known, arguments));
    const auto n_pages = given["pages"].as<std::uint32_t>();
    constexpr std::uint32_t kMostPages = 1U << 24U;  // 16 million: some gigabytes of bookkeeping
    if (n_pages == 0 || n_pages > kMostPages) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("--pages {}: expected 1 to {}", n_pages, kMostPages)};
    }
    KVASIR_TRY(const Policy policy, find_policy(given["policy"].as<std::string>()));
    KVASIR_TRY(const auto trace, read_trace(given["trace"].as<std::string>()));
    const auto start = std::chrono::steady_clock::now();
    const SimulationResult result = policy.run(trace, n_pages);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const boost::json::object out = {{"policy", policy.name},
                                     {"pages", n_pages},
                                     {"requests", trace.size()},
                                     {"pages_asked", result.n_pages_asked},
                                     {"pages_found", result.n_pages_found},
                                     {"hit_rate", result.hit_rate()},
                                     {"seconds", took.count()}};
    std::cout << boost::json::serialize(out) << '\n';
    return {};
}

}  // namespace kvasir::eval
