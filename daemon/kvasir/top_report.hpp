// What `kvasir top` shows: the daemon's figures at one moment, and how fast they grew.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::client {

/// The answers of the state routes, as they came; empty: none.
struct TopAnswers {
    std::string health;
    std::string models;
    std::string cache;     // GET /v1/cache
    std::string sessions;  // GET /v1/sessions
    std::string metrics;   // Prometheus text; administrators alone get it
};

struct TopSession {
    std::string id;
    std::string context;
    std::string tier;
    std::uint64_t n_tokens = 0;
    std::uint64_t n_pages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t n_requests = 0;
    double age_seconds = 0;
    double idle_seconds = 0;
    std::optional<double> expires_in_seconds;
    bool is_running = false;
};

/// Pages of everybody where the caller is an administrator, else of the caller's domain.
struct TopPages {
    bool is_global = false;
    std::uint64_t page_bytes = 0;
    std::uint64_t page_tokens = 0;
    std::uint64_t n_pages = 0;   // the budget; of a domain: what it holds
    std::uint64_t n_free = 0;    // from here on: global figures
    std::uint64_t n_leased = 0;  // of running requests
    std::uint64_t n_cached = 0;
    std::uint64_t n_claimed = 0;  // of the cached, held by name
    std::uint64_t n_on_host = 0;
    std::uint64_t n_host_slots = 0;
    std::uint64_t disk_bytes = 0;
    std::uint64_t n_snapshots = 0;
    std::uint64_t n_tokens_asked = 0;
    std::uint64_t n_tokens_reused = 0;
};

/// Counters since the daemon's start, for administrators.
struct TopCounters {
    double n_running = 0;
    double n_waiting = 0;
    double n_requests = 0;
    double n_steps = 0;
    double n_prefill_tokens = 0;
    double n_generated_tokens = 0;
    double n_hits = 0;
    std::vector<std::pair<std::string, double>> misses;  // by reason; none that is 0
};

struct TopRates {
    double prefill_tokens_per_second = 0;
    double generate_tokens_per_second = 0;
    double steps_per_second = 0;
    std::optional<double> hit_share;  // of the prompt tokens asked for since the last look
};

struct TopReport {
    std::string error;  // why the daemon gave no figures; empty: it did
    std::string where;  // its socket or address
    std::string model;
    std::string status;  // of /health: ok, loading, ...
    std::string clock;   // local time of day
    double unix_seconds = 0;
    TopPages pages;
    std::optional<TopCounters> counters;
    std::optional<TopRates> rates;  // from the second look on
    std::vector<TopSession> sessions;
    std::vector<double> prefill_history;   // tokens/s, oldest first
    std::vector<double> generate_history;  // the same
    double interval_seconds = 1;
};

/// `name{labels}` -> value; lines that are none are left out.
std::map<std::string, double, std::less<>> parse_metrics(std::string_view text);

/// Takes one look after another and remembers what rates need.
class TopHistory {
public:
    static constexpr std::size_t kLength = 512;

    /// The figures of answers that came `seconds` after any fixed moment.
    TopReport look(const TopAnswers& answers, double seconds);
    /// No answers: the last figures, and why there are none.
    TopReport miss(const std::string& error);

private:
    void add_rates(TopReport& report, double seconds);

    std::optional<TopReport> last_;
    double last_seconds_ = 0;
};

/// One JSON object, without a newline.
std::string top_json(const TopReport& report);

}  // namespace kvasir::client
