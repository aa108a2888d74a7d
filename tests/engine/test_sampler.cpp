#include <algorithm>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "daemon/engine/sampler.hpp"

namespace {

using namespace kvasir;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// The distribution that the header promises, in double and with a full sort.
std::vector<double> expected_distribution(const SamplingOptions& options,
                                          const std::vector<float>& logits,
                                          const std::vector<TokenId>& prompt,
                                          const std::vector<TokenId>& generated) {
    std::vector<double> values(logits.begin(), logits.end());
    for (const auto& [id, bias] : options.logit_bias) values[id] += static_cast<double>(bias);
    for (TokenId id = 0; id < values.size(); ++id) {
        const auto n_prompt = std::count(prompt.begin(), prompt.end(), id);
        const auto n_generated = std::count(generated.begin(), generated.end(), id);
        const double penalty = options.repetition_penalty;
        if (n_prompt + n_generated > 0) values[id] *= values[id] > 0 ? 1 / penalty : penalty;
        values[id] -= static_cast<double>(n_generated) * options.frequency_penalty;
        if (n_generated > 0) values[id] -= options.presence_penalty;
    }
    const double best = *std::max_element(values.begin(), values.end());
    std::vector<double> p(values.size());
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = std::exp((values[i] - best) / static_cast<double>(options.temperature));
    }
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return values[a] > values[b]; });
    std::size_t n = order.size();
    if (options.top_k > 0) n = std::min<std::size_t>(n, options.top_k);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) total += p[order[i]];
    std::size_t n_nucleus = 0;
    for (double mass = 0; n_nucleus < n && (n_nucleus == 0 || mass < options.top_p * total);) {
        mass += p[order[n_nucleus++]];
    }
    if (options.top_p < 1) n = n_nucleus;
    while (n > 1 && p[order[n - 1]] < static_cast<double>(options.min_p)) --n;
    std::vector<double> result(p.size(), 0);
    double kept = 0;
    for (std::size_t i = 0; i < n; ++i) kept += p[order[i]];
    for (std::size_t i = 0; i < n; ++i) result[order[i]] = p[order[i]] / kept;
    return result;
}

std::vector<float> random_logits(std::size_t n, float deviation, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

/// Draws at 40,000 positions; every token outside the support is an error, the rest must pass a
/// chi-square test at about five standard deviations.
void check_draws(Sampler& sampler, const std::vector<float>& logits,
                 const std::vector<double>& expected) {
    constexpr std::uint32_t n_draws = 40000;
    std::vector<double> counts(expected.size());
    for (std::uint32_t position = 0; position < n_draws; ++position) {
        counts[sampler.sample(logits, position).value()] += 1;
    }
    double chi_square = 0;
    double freedom = -1;
    double rare_expected = 0;
    double rare_count = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        if (expected[i] == 0) {
            BOOST_TEST(counts[i] == 0, "token " << i << " is outside the support");
        } else if (expected[i] * n_draws < 10) {
            rare_expected += expected[i] * n_draws;
            rare_count += counts[i];
        } else {
            chi_square += std::pow(counts[i] - expected[i] * n_draws, 2) / (expected[i] * n_draws);
            freedom += 1;
        }
    }
    if (rare_expected > 10) {
        chi_square += std::pow(rare_count - rare_expected, 2) / rare_expected;
        freedom += 1;
    }
    BOOST_TEST(chi_square <= freedom + 5 * std::sqrt(2 * freedom) + 5);
}

struct Case {
    std::string name;
    SamplingOptions options;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

const std::vector<Case> kCases = {
    {"plain", {}},
    {"cold", {.temperature = 0.4F}},
    {"hot", {.temperature = 3.0F}},
    {"top_k", {.top_k = 5}},
    {"top_k_of_one", {.top_k = 1}},
    {"top_k_almost_all", {.top_k = 39}},
    {"top_k_beyond_the_vocabulary", {.top_k = 1000}},
    {"top_p", {.top_p = 0.8F}},
    {"top_p_of_zero", {.top_p = 0.0F}},
    {"top_p_almost_all", {.top_p = 0.9999F}},
    {"min_p", {.min_p = 0.1F}},
    {"min_p_of_one", {.min_p = 1.0F}},
    {"all_cuts", {.temperature = 1.5F, .top_k = 12, .top_p = 0.9F, .min_p = 0.05F}},
    {"repetition", {.repetition_penalty = 1.6F}},
    {"frequency", {.frequency_penalty = 0.7F}},
    {"presence", {.presence_penalty = 1.5F}},
    {"negative_presence", {.presence_penalty = -1.0F}},
    {"bias", {.logit_bias = {{3, 2.5F}, {4, -100.0F}}}},
    {"everything",
     {.temperature = 0.8F,
      .top_k = 20,
      .top_p = 0.95F,
      .min_p = 0.02F,
      .repetition_penalty = 1.2F,
      .frequency_penalty = 0.3F,
      .presence_penalty = 0.2F,
      .logit_bias = {{0, 1.0F}, {7, -2.0F}}}},
};

SamplingOptions greedy() {
    return {.temperature = 0};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sampler)

BOOST_DATA_TEST_CASE(draws_follow_the_exact_distribution, boost::unit_test::data::make(kCases), c) {
    const auto logits = random_logits(40, 2, 11);
    const std::vector<TokenId> prompt = {0, 1, 2, 2, 2, 9};
    const std::vector<TokenId> generated = {2, 3, 3, 3, 20};
    Sampler sampler(c.options, 40, 5);
    sampler.accept_prompt(prompt);
    for (const TokenId id : generated) sampler.accept(id);
    check_draws(sampler, logits, expected_distribution(c.options, logits, prompt, generated));
}

BOOST_DATA_TEST_CASE(cuts_agree_with_a_full_sort_on_a_large_vocabulary,
                     boost::unit_test::data::make({0.3F, 2.0F, 8.0F}) *
                         boost::unit_test::data::make({1U, 3U, 60U, 4000U, 0U}) *
                         boost::unit_test::data::make({0.1F, 0.5F, 0.97F, 1.0F}),
                     deviation, top_k, top_p) {
    const auto logits = random_logits(5000, deviation, 3);
    const SamplingOptions options{.top_k = top_k, .top_p = top_p};
    const auto expected = expected_distribution(options, logits, {}, {});
    Sampler sampler(options, 5000, 1);
    std::vector<bool> drawn(5000);
    for (std::uint32_t position = 0; position < 300; ++position) {
        const TokenId id = sampler.sample(logits, position).value();
        BOOST_TEST(expected[id] > 0);
        drawn[id] = true;
    }
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    if (expected[static_cast<std::size_t>(best)] > 0.05)
        BOOST_TEST(drawn[static_cast<std::size_t>(best)]);
}

BOOST_AUTO_TEST_CASE(a_large_vocabulary_follows_the_distribution) {
    const auto logits = random_logits(3000, 3, 21);
    const SamplingOptions options{.top_p = 0.9F};
    Sampler sampler(options, 3000, 77);
    check_draws(sampler, logits, expected_distribution(options, logits, {}, {}));
}

BOOST_AUTO_TEST_CASE(top_k_selects_the_same_set_from_any_order) {
    std::vector<float> logits(1000);
    std::iota(logits.begin(), logits.end(), 0.0F);  // ascending: the worst case of the selection
    for (const bool descending : {false, true}) {
        if (descending) std::reverse(logits.begin(), logits.end());
        Sampler sampler({.temperature = 1000, .top_k = 10}, 1000, 4);
        std::vector<std::size_t> counts(1000);
        for (std::uint32_t position = 0; position < 2000; ++position) {
            ++counts[sampler.sample(logits, position).value()];
        }
        for (std::size_t i = 0; i < counts.size(); ++i) {
            BOOST_TEST((counts[i] > 0) == (logits[i] >= 990), "token " << i);
        }
    }
}

BOOST_AUTO_TEST_CASE(greedy_takes_the_lowest_of_equal_ids) {
    Sampler sampler(greedy(), 5, 0);
    BOOST_TEST(sampler.sample(std::vector<float>{1, 3, 2, 3, -1}, 0).value() == 1U);
    BOOST_TEST(sampler.sample(std::vector<float>{-5, -5, -5, -5, -5}, 1).value() == 0U);
}

BOOST_AUTO_TEST_CASE(cuts_take_the_lowest_of_equal_ids) {
    const std::vector<float> logits(64, 0.25F);
    for (const auto& options : {SamplingOptions{.top_k = 3}, SamplingOptions{.top_p = 3.0F / 64}}) {
        Sampler sampler(options, 64, 9);
        std::vector<int> counts(64);
        for (std::uint32_t i = 0; i < 500; ++i) ++counts[sampler.sample(logits, i).value()];
        for (std::size_t i = 0; i < 64; ++i) BOOST_TEST((counts[i] > 0) == (i < 3), "token " << i);
    }
}

BOOST_AUTO_TEST_CASE(greedy_obeys_bias_and_penalties) {
    SamplingOptions options = greedy();
    options.logit_bias = {{0, -100}};
    options.presence_penalty = 2;
    Sampler sampler(options, 3, 0);
    const std::vector<float> logits = {50, 3, 2};
    BOOST_TEST(sampler.sample(logits, 0).value() == 1U);
    sampler.accept(1);
    BOOST_TEST(sampler.sample(logits, 1).value() == 2U);
    sampler.accept(2);
    BOOST_TEST(sampler.sample(logits, 2).value() == 1U);
}

BOOST_AUTO_TEST_CASE(the_prompt_counts_for_the_repetition_penalty_alone) {
    const std::vector<float> logits = {2, 1.9F};
    const std::vector<TokenId> prompt = {0, 0, 0};
    SamplingOptions options = greedy();
    options.frequency_penalty = 2;
    options.presence_penalty = 2;
    Sampler spared(options, 2, 0);
    spared.accept_prompt(prompt);
    BOOST_TEST(spared.sample(logits, 0).value() == 0U);
    options = greedy();
    options.repetition_penalty = 1.1F;
    Sampler penalized(options, 2, 0);
    penalized.accept_prompt(prompt);
    BOOST_TEST(penalized.sample(logits, 0).value() == 1U);
}

BOOST_AUTO_TEST_CASE(a_tiny_temperature_is_greedy) {
    for (const float temperature : {1e-5F, 1e-20F, std::numeric_limits<float>::denorm_min()}) {
        Sampler sampler({.temperature = temperature}, 4, 3);
        for (std::uint32_t i = 0; i < 100; ++i) {
            BOOST_TEST(sampler.sample(std::vector<float>{1, 1.5F, -3e38F, 1.4F}, i).value() == 1U);
        }
    }
}

BOOST_DATA_TEST_CASE(the_only_finite_logit_is_always_drawn, boost::unit_test::data::make(kCases),
                     c) {
    std::vector<float> logits(40, -kInf);
    logits[13] = -7;
    Sampler sampler(c.options, 40, 3);
    for (std::uint32_t i = 0; i < 50; ++i) BOOST_TEST(sampler.sample(logits, i).value() == 13U);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_drawn_is_an_error) {
    for (const SamplingOptions& options :
         {greedy(), SamplingOptions{}, SamplingOptions{.top_k = 2}}) {
        Sampler sampler(options, 3, 0);
        for (const float bad : {kNan, kInf}) {
            for (const std::size_t where : {0U, 1U, 2U}) {
                std::vector<float> logits = {1, 2, 3};
                logits[where] = bad;
                const auto result = sampler.sample(logits, 0);
                BOOST_REQUIRE(result.has_error());
                BOOST_TEST((result.error().code == ErrorCode::corrupt));
                BOOST_TEST(result.error().message.find(std::to_string(where)) != std::string::npos);
            }
        }
        BOOST_TEST(sampler.sample(std::vector<float>(3, -kInf), 0).has_error());
        BOOST_TEST(sampler.sample(std::vector<float>{1, 2, 3}, 0).has_value());  // and it goes on
    }
}

BOOST_AUTO_TEST_CASE(a_seed_gives_the_same_tokens_again) {
    const auto logits = random_logits(200, 1, 1);
    const auto draw = [&](std::uint64_t seed, std::uint32_t choice, bool backwards) {
        Sampler sampler({.top_p = 0.95F, .choice = choice}, 200, seed);
        std::vector<TokenId> ids(100);
        for (std::uint32_t i = 0; i < 100; ++i) {
            const std::uint32_t position = backwards ? 99 - i : i;
            ids[position] = sampler.sample(logits, position).value();
        }
        return ids;
    };
    BOOST_TEST(draw(42, 0, false) == draw(42, 0, false));
    BOOST_TEST(draw(42, 0, false) == draw(42, 0, true));  // no hidden state between the draws
    BOOST_TEST(draw(42, 0, false) != draw(43, 0, false));
    BOOST_TEST(draw(42, 0, false) != draw(42, 1, false));
}

BOOST_AUTO_TEST_CASE(randomness_is_uniform_and_independent_in_every_argument) {
    constexpr std::size_t n_bins = 16;
    constexpr std::uint32_t n = 32000;
    for (const int varied : {0, 1, 2}) {
        std::vector<double> pairs(n_bins * n_bins);
        double previous = 0.5;
        for (std::uint32_t i = 0; i < n; ++i) {
            const double unit =
                random_unit(varied == 0 ? i : 7, varied == 1 ? i : 0, varied == 2 ? i : 0);
            BOOST_REQUIRE((unit >= 0 && unit < 1));
            const auto row = static_cast<std::size_t>(previous * n_bins);
            pairs[row * n_bins + static_cast<std::size_t>(unit * n_bins)] += 1;
            previous = unit;
        }
        double chi_square = 0;
        const double expected = static_cast<double>(n) / (n_bins * n_bins);
        for (const double count : pairs)
            chi_square += (count - expected) * (count - expected) / expected;
        BOOST_TEST(chi_square < 255 + 5 * std::sqrt(2 * 255.0));
        BOOST_TEST(chi_square > 255 - 5 * std::sqrt(2 * 255.0));
    }
}

BOOST_AUTO_TEST_CASE(logprobs_match_a_double_log_softmax) {
    const auto logits = random_logits(500, 4, 8);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    std::vector<std::pair<TokenId, float>> top;
    for (const std::uint32_t n : {0U, 1U, 7U, 499U, 500U, 600U}) {
        top_logprobs(logits, n, top);
        BOOST_REQUIRE(top.size() == std::min<std::size_t>(n, 500));
        for (std::size_t i = 0; i < top.size(); ++i) {
            const double exact = static_cast<double>(logits[top[i].first]) - std::log(sum);
            BOOST_TEST(std::abs(static_cast<double>(top[i].second) - exact) < 1e-5);
            BOOST_TEST(top[i].second == logprob(logits, top[i].first));
            if (i > 0) BOOST_TEST(logits[top[i].first] <= logits[top[i - 1].first]);
        }
        for (std::size_t i = 0; n > 0 && i < logits.size(); ++i) {
            const bool listed =
                std::any_of(top.begin(), top.end(), [i](const auto& e) { return e.first == i; });
            if (!listed) BOOST_TEST(logits[i] <= logits[top.back().first]);
        }
    }
}

BOOST_AUTO_TEST_CASE(logprobs_bear_infinities_and_nan) {
    const std::vector<float> logits = {-kInf, 2, kNan, 2};
    BOOST_TEST(logprob(logits, 0) == -kInf);
    std::vector<std::pair<TokenId, float>> top;
    top_logprobs(logits, 4, top);
    BOOST_REQUIRE(top.size() == 2U);
    BOOST_TEST(top[0].first == 1U);
    BOOST_TEST(top[1].first == 3U);
}

BOOST_AUTO_TEST_SUITE_END()
