#include "daemon/engine/kv_selection.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "config/base/log.hpp"
#include "daemon/engine/kv_tests.hpp"
#include "daemon/engine/quality_text.hpp"

namespace kvasir {
namespace {

using Clock = std::chrono::steady_clock;

constexpr gpu::KvFormats kF16{};
constexpr gpu::KvFormats kInt8{shared::kKvInt8, shared::kKvInt8};
// Smallest first.
constexpr std::array kCandidates = {gpu::KvFormats{shared::kKvInt4, shared::kKvInt4},
                                    gpu::KvFormats{shared::kKvInt8, shared::kKvInt4}};

/// Tests formats on one model, and remembers what it found.
class Tester {
public:
    static Result<Tester> create(Model& model, const ModelOptions& options,
                                 const KvSelectionRules& rules, const Model::Progress& progress) {
        Tester tester(model, options, rules, progress);
        if (!tester.dir().empty()) {
            KVASIR_TRY(tester.key_, kv_tests_key(options.path, model.device().fingerprint()));
            tester.tests_ = read_kv_tests(tester.dir(), tester.key_);
        }
        return tester;
    }

    Result<> take(const gpu::KvFormats& formats) {
        options_.kv = formats;
        return model_.change_kv(options_);
    }

    bool is_too_slow() const { return tests_.too_slow; }

    /// nullopt: there is no text to test with, or no time. The model is left in any formats.
    Result<std::optional<KvTestResult>> test(const gpu::KvFormats& formats) {
        const std::string name = to_string(formats);
        if (const auto known = tests_.results.find(name); known != tests_.results.end())
            return std::optional(known->second);
        if (tests_.too_slow || !find_tokens()) return std::optional<KvTestResult>();
        if (reference_.empty()) {
            KVASIR_TRY(auto rows, score(kF16));
            if (rows) reference_ = std::move(*rows);
        }
        std::optional<LogProbRows> rows;
        if (!reference_.empty()) {
            KVASIR_TRY(rows, score(formats));
        }
        if (!rows) {
            tests_.too_slow = true;
            remember();
            return std::optional<KvTestResult>();
        }
        KvComparison comparison;
        for (std::size_t i = 0; i < rows->size(); ++i)
            comparison.add((*rows)[i], reference_[i], tokens_[first_ + i + 1]);
        const KvQuality quality = comparison.result();
        const KvTestResult result{quality.kld_mean, quality.same_top};
        tests_.results[name] = result;
        remember();
        return std::optional(result);
    }

    std::uint64_t elapsed_ms() const {
        const auto elapsed = Clock::now() - start_;
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
    }

private:
    Tester(Model& model, const ModelOptions& options, const KvSelectionRules& rules,
           const Model::Progress& progress)
        : model_(model), options_(options), rules_(rules), progress_(progress) {}

    const std::filesystem::path& dir() const { return options_.device.pipeline_cache_dir; }

    bool find_tokens() {
        constexpr std::size_t kFewest = 64;
        constexpr std::size_t kMost = 512;
        constexpr std::size_t kRowBytes = 64U << 20U;  // of all rows that are kept
        if (model_.tokenizer() == nullptr) return false;
        if (tokens_.empty()) {
            tokens_ = model_.tokenizer()->encode(kQualityText, Tokenizer::Special::ignore);
            tokens_.resize(std::min<std::size_t>({tokens_.size(), kMost, model_.context_length()}));
            const std::size_t row_bytes = std::size_t{model_.shape().n_vocab} * sizeof(float);
            const std::size_t n_rows = std::max<std::size_t>(8, kRowBytes / row_bytes);
            first_ =
                static_cast<std::uint32_t>(tokens_.size() - std::min(tokens_.size() / 2, n_rows));
        }
        return tokens_.size() >= kFewest;
    }

    /// nullopt: out of time.
    Result<std::optional<LogProbRows>> score(const gpu::KvFormats& formats) {
        KVASIR_TRY_VOID(take(formats));
        KvCache cache({.n_pages = model_.n_pages(), .reuse = false});
        OpenSlots slots(model_.n_open_slots());
        const std::string stage = "testing KV format " + to_string(formats);
        return score_context({model_, cache, slots}, tokens_, first_, [&](double fraction) {
            if (progress_) progress_(fraction, stage);
            return elapsed_ms() < rules_.limit_ms;
        });
    }

    void remember() const {
        if (dir().empty()) return;
        const auto written = write_kv_tests(dir(), key_, tests_);
        if (written.has_error()) log_warn("kv format", {{"error", written.error().message}});
    }

    Model& model_;
    ModelOptions options_;
    const KvSelectionRules& rules_;
    const Model::Progress& progress_;
    const Clock::time_point start_ = Clock::now();
    std::uint64_t key_ = 0;
    KvTests tests_;
    std::vector<TokenId> tokens_;
    std::uint32_t first_ = 0;  // position whose prediction is scored first
    LogProbRows reference_;
};

bool keeps(const KvSelectionRules& rules, const KvTestResult& result) {
    return result.kld_mean <= rules.kld_mean && result.same_top >= rules.same_top;
}

bool is_below_int8(const gpu::KvFormats& formats) {
    return formats.keys == shared::kKvInt4 || formats.values == shared::kKvInt4;
}

}  // namespace

Result<> select_kv_formats(Model& model, ModelOptions& options, const KvSelectionRules& rules,
                           const Model::Progress& progress) {
    KVASIR_TRY(Tester tester, Tester::create(model, options, rules, progress));
    const char* reason = "smaller formats change the model's predictions too much";
    for (const gpu::KvFormats& candidate : kCandidates) {
        KVASIR_TRY(const auto result, tester.test(candidate));
        if (!result) {
            reason = tester.is_too_slow() ? "no time to test smaller formats"
                                          : "no text to test smaller formats with";
            break;
        }
        const bool taken = keeps(rules, *result);
        log_info("kv format", {{"auto", to_string(candidate)},
                               {"taken", taken},
                               {"kld_mean", result->kld_mean},
                               {"kld_limit", rules.kld_mean},
                               {"same_top", result->same_top},
                               {"same_top_limit", rules.same_top},
                               {"ms", tester.elapsed_ms()}});
        if (!taken) continue;
        options.kv = candidate;
        return tester.take(candidate);
    }
    log_info("kv format",
             {{"auto", to_string(kInt8)}, {"reason", reason}, {"ms", tester.elapsed_ms()}});
    options.kv = kInt8;
    return tester.take(kInt8);
}

Result<> check_kv_formats(Model& model, const ModelOptions& options, const KvSelectionRules& rules,
                          const Model::Progress& progress) {
    if (!is_below_int8(options.kv)) return {};
    KVASIR_TRY(Tester tester, Tester::create(model, options, rules, progress));
    KVASIR_TRY(const auto result, tester.test(options.kv));
    if (result && !keeps(rules, *result)) {
        log_warn("kv format costs quality", {{"format", to_string(options.kv)},
                                             {"kld_mean", result->kld_mean},
                                             {"kld_limit", rules.kld_mean},
                                             {"same_top", result->same_top},
                                             {"same_top_limit", rules.same_top},
                                             {"try", "cache.keys and cache.values auto or int8"}});
    }
    return tester.take(options.kv);
}

}  // namespace kvasir
