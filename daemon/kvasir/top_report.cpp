#include "daemon/kvasir/top_report.hpp"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "daemon/kvasir/answer_fields.hpp"

namespace kvasir::client {
namespace json = boost::json;
namespace {

std::uint64_t count(const json::object& object, const char* key) {
    const double value = number_field(object, key);
    return value >= 0 && value < 1e18 ? static_cast<std::uint64_t>(value) : 0;
}

/// Whatever came; an empty object where it was none.
json::object parse(const std::string& body) {
    json::error_code ec;
    json::value value = json::parse(body, ec);
    if (ec || !value.is_object()) return {};
    return std::move(value.get_object());
}

TopPages read_pages(const json::object& cache) {
    TopPages pages;
    pages.is_global = find_field(cache, "free_pages") != nullptr;
    pages.page_bytes = count(cache, "page_bytes");
    pages.page_tokens = count(cache, "page_tokens");
    pages.n_pages = count(cache, "pages");
    pages.n_free = count(cache, "free_pages");
    pages.n_leased = count(cache, "leased_pages");
    pages.n_cached = count(cache, "cached_pages");
    pages.n_claimed = count(cache, "claimed_pages");
    pages.n_on_host = count(cache, "host_pages");
    pages.n_host_slots = count(cache, "host_slots");
    pages.disk_bytes = count(cache, "disk_bytes");
    pages.n_snapshots = count(cache, "snapshots");
    pages.n_tokens_asked = count(cache, "tokens_asked");
    pages.n_tokens_reused = count(cache, "tokens_reused");
    return pages;
}

std::vector<TopSession> read_sessions(const json::object& body) {
    std::vector<TopSession> sessions;
    for (const json::object* one : listed(body)) {
        const json::object& object = *one;
        TopSession& session = sessions.emplace_back();
        session.id = text_field(object, "id");
        session.context = text_field(object, "context");
        session.tier = text_field(object, "tier");
        session.n_tokens = count(object, "tokens");
        session.n_pages = count(object, "pages");
        session.bytes = count(object, "bytes");
        session.n_requests = count(object, "requests");
        session.age_seconds = number_field(object, "age_seconds");
        session.idle_seconds = number_field(object, "idle_seconds");
        if (find_field(object, "expires_in_seconds") != nullptr)
            session.expires_in_seconds = number_field(object, "expires_in_seconds");
        const json::value* running = find_field(object, "running");
        session.is_running = running != nullptr && running->is_bool() && running->get_bool();
    }
    return sessions;
}

TopCounters read_counters(const std::string& metrics) {
    const auto values = parse_metrics(metrics);
    const auto value = [&values](const char* name) {
        const auto found = values.find(name);
        return found == values.end() ? 0.0 : found->second;
    };
    TopCounters counters;
    counters.n_running = value("kvasir_requests_running");
    counters.n_waiting = value("kvasir_requests_waiting");
    counters.n_requests = value("kvasir_requests_total");
    counters.n_steps = value("kvasir_steps_total");
    counters.n_prefill_tokens = value("kvasir_prefill_tokens_total");
    counters.n_generated_tokens = value("kvasir_generated_tokens_total");
    counters.n_hits = value("kvasir_cache_hits_total");
    constexpr std::string_view kMisses = "kvasir_cache_misses_total{reason=\"";
    for (auto it = values.lower_bound(kMisses); it != values.end(); ++it) {
        if (!it->first.starts_with(kMisses)) break;
        std::string reason = it->first.substr(kMisses.size());
        reason.resize(std::min(reason.size(), reason.find('"')));
        if (it->second > 0) counters.misses.emplace_back(reason, it->second);
    }
    return counters;
}

void remember(std::vector<double>& history, double value) {
    history.push_back(value);
    if (history.size() > TopHistory::kLength) history.erase(history.begin());
}

}  // namespace

std::map<std::string, double, std::less<>> parse_metrics(std::string_view text) {
    std::map<std::string, double, std::less<>> values;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        // `name{label="a b"} 12 [timestamp]`: label values may contain spaces.
        const std::size_t labels_end = line.rfind('}');
        const std::size_t space =
            line.find(' ', labels_end == std::string_view::npos ? 0 : labels_end);
        if (line.starts_with('#') || space == std::string_view::npos) continue;
        const std::string_view number = line.substr(space + 1);
        double value = 0;
        const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
        if (parsed.ec != std::errc{} || !std::isfinite(value)) continue;
        values.emplace(line.substr(0, space), value);
    }
    return values;
}

TopReport TopHistory::look(const TopAnswers& answers, double seconds) {
    TopReport report;
    report.status = text_field(parse(answers.health), "status");
    report.model = first_model(parse(answers.models));
    report.pages = read_pages(parse(answers.cache));
    report.sessions = read_sessions(parse(answers.sessions));
    if (!answers.metrics.empty()) report.counters = read_counters(answers.metrics);
    if (last_) add_rates(report, seconds);
    last_ = report;
    last_seconds_ = seconds;
    return report;
}

void TopHistory::add_rates(TopReport& report, double seconds) {
    report.prefill_history = std::move(last_->prefill_history);
    report.generate_history = std::move(last_->generate_history);
    const double elapsed = seconds - last_seconds_;
    if (!report.counters || !last_->counters || !(elapsed > 0)) return;
    const TopCounters& now = *report.counters;
    const TopCounters& before = *last_->counters;
    // Counters that fell: another daemon has begun.
    const auto rate = [elapsed](double to, double from) {
        return to < from ? 0 : (to - from) / elapsed;
    };
    TopRates rates;
    rates.prefill_tokens_per_second = rate(now.n_prefill_tokens, before.n_prefill_tokens);
    rates.generate_tokens_per_second = rate(now.n_generated_tokens, before.n_generated_tokens);
    rates.steps_per_second = rate(now.n_steps, before.n_steps);
    const TopPages& pages = report.pages;
    if (pages.n_tokens_asked > last_->pages.n_tokens_asked &&
        pages.n_tokens_reused >= last_->pages.n_tokens_reused) {
        rates.hit_share =
            static_cast<double>(pages.n_tokens_reused - last_->pages.n_tokens_reused) /
            static_cast<double>(pages.n_tokens_asked - last_->pages.n_tokens_asked);
    }
    report.rates = rates;
    remember(report.prefill_history, rates.prefill_tokens_per_second);
    remember(report.generate_history, rates.generate_tokens_per_second);
}

TopReport TopHistory::miss(const std::string& error) {
    TopReport report = last_.value_or(TopReport{});
    report.rates.reset();
    report.error = error;
    return report;
}

}  // namespace kvasir::client
