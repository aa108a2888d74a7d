#include "daemon/kvasir/top_screen.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "daemon/kvasir/bars.hpp"

namespace kvasir::client {
namespace {

constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kLabel = "36";
constexpr const char* kBad = "1;31";
constexpr const char* kHead = "1;7";
constexpr std::size_t kLabelWidth = 11;
constexpr std::size_t kPeakWidth = 12;

ScreenLine labelled(std::string_view label) {
    ScreenLine line;
    line.add(" ").add(cell(label, kLabelWidth), kLabel);
    return line;
}

std::string rate_text(double rate) {
    return rate > 0 && rate < 99.95 ? fmt::format("{:.1f}", rate) : short_count(rate);
}

void append(ScreenLine& line, const ScreenLine& other) {
    for (const Span& span : other.spans()) line.add(span.text, span.sgr);
}

class TopScreen {
public:
    TopScreen(const TopReport& report, const TopFrame& frame) : report_(report), frame_(frame) {
        bar_width_ = std::clamp<std::size_t>(frame.width / 2, 10, 60);
    }

    std::vector<ScreenLine> lines();

private:
    bool is_low() const { return frame_.height != 0 && frame_.height < 18; }
    void blank() {
        if (!is_low()) lines_.emplace_back();
    }
    void add_head();
    void add_rates();
    void add_rate(std::string_view label, std::optional<double> rate,
                  const std::vector<double>& history, const char* colour);
    void add_requests(const TopCounters& counters);
    void add_hits(const TopCounters& counters);
    void add_pages();
    void add_sessions();
    std::string session_line(const TopSession* session) const;
    std::size_t name_width() const {
        return std::clamp<std::size_t>(frame_.width > 78 ? frame_.width - 78 : 0, 16, 36);
    }

    const TopReport& report_;
    const TopFrame& frame_;
    std::size_t bar_width_ = 0;
    std::vector<ScreenLine> lines_;
};

void TopScreen::add_head() {
    const std::string status = report_.error.empty() ? one_line(report_.status) : "no answer";
    const std::string right =
        fmt::format("{}{}{} ", status, report_.clock.empty() ? "" : "  ", report_.clock);
    const std::string name = report_.model.empty() ? "kvasir" : one_line(report_.model);
    const std::size_t room = frame_.width - std::min(frame_.width, display_width(right));
    ScreenLine line;
    line.add(cell(fmt::format(" {}  {}", name, one_line(report_.where)), room), kHead);
    line.add(right, kHead);
    lines_.push_back(std::move(line));
    if (!report_.error.empty()) lines_.emplace_back().add(" " + one_line(report_.error), kBad);
    blank();
}

void TopScreen::add_rate(std::string_view label, std::optional<double> rate,
                         const std::vector<double>& history, const char* colour) {
    ScreenLine line = labelled(label);
    line.add(fmt::format("{:>8}", rate ? rate_text(*rate) : "-"), kBold);
    line.add(" tokens/s  ", kDim);
    const std::string peak =
        history.empty()
            ? ""
            : short_count(std::round(*std::max_element(history.begin(), history.end())));
    const std::size_t used = line.width() + kPeakWidth + 1;
    const std::size_t room = frame_.width - std::min(frame_.width, used);
    line.add(cell("", room - std::min(room, history.size())));
    line.add(sparkline(history, room, frame_.has_blocks), colour);
    line.add(peak.empty() ? "" : fmt::format(" {:>6} peak", peak), kDim);
    lines_.push_back(std::move(line));
}

void TopScreen::add_requests(const TopCounters& counters) {
    ScreenLine line = labelled("requests");
    line.add(fmt::format("{:>8}", short_count(counters.n_running)), kBold).add(" running", kDim);
    line.add(fmt::format("{:>6}", short_count(counters.n_waiting)),
             counters.n_waiting > 0 ? "1;33" : kBold);
    line.add(" waiting", kDim);
    line.add(fmt::format("{:>8}", short_count(counters.n_requests)), kBold).add(" in all", kDim);
    if (report_.rates) {
        line.add(fmt::format("{:>8}", short_count(std::round(report_.rates->steps_per_second))),
                 kBold);
        line.add(" steps/s", kDim);
    }
    lines_.push_back(std::move(line));
}

void TopScreen::add_hits(const TopCounters& counters) {
    const auto asked = static_cast<double>(report_.pages.n_tokens_asked);
    const auto reused = static_cast<double>(report_.pages.n_tokens_reused);
    ScreenLine line = labelled("hits");
    append(line, bar({reused}, asked, bar_width_, frame_.has_blocks));
    line.add(asked > 0 ? fmt::format(" {:3.0f} %", 100 * reused / asked) : "   - %", kBold);
    line.add(" of prompt tokens", kDim);
    if (report_.rates && report_.rates->hit_share) {
        line.add(fmt::format("  {:.0f} %", 100 * *report_.rates->hit_share), kBold);
        line.add(" now", kDim);
    }
    lines_.push_back(std::move(line));
    if (counters.misses.empty() || is_low()) return;
    std::string reasons;
    for (const auto& [reason, n] : counters.misses) {
        std::string words = one_line(reason);
        std::replace(words.begin(), words.end(), '_', ' ');
        reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", short_count(n), words);
    }
    lines_.push_back(labelled("misses"));
    lines_.back().add(reasons, kDim);
}

void TopScreen::add_rates() {
    if (!report_.counters) {
        if (!report_.error.empty()) return;
        lines_.push_back(labelled("tokens/s"));
        lines_.back().add("for administrators, as are queue and hits", kDim);
        return;
    }
    const auto rate = [this](double TopRates::*member) {
        return report_.rates ? std::optional<double>((*report_.rates).*member) : std::nullopt;
    };
    add_rate("prefill", rate(&TopRates::prefill_tokens_per_second), report_.prefill_history, "35");
    add_rate("decode", rate(&TopRates::generate_tokens_per_second), report_.generate_history, "32");
    add_requests(*report_.counters);
    add_hits(*report_.counters);
}

void TopScreen::add_pages() {
    const TopPages& pages = report_.pages;
    const auto as_bytes = [&pages](std::uint64_t n) {
        return short_bytes(static_cast<double>(n) * static_cast<double>(pages.page_bytes));
    };
    if (!pages.is_global) {
        lines_.push_back(labelled("your pages"));
        lines_.back()
            .add(fmt::format("{:>8}", pages.n_pages), kBold)
            .add(fmt::format("  {}", as_bytes(pages.n_pages)), kDim);
        return;
    }
    const auto named = std::min(pages.n_claimed, pages.n_cached);
    const std::array<std::uint64_t, 3> parts = {pages.n_leased, named, pages.n_cached - named};
    constexpr std::array<const char*, 3> kNames = {"running", "named", "cached"};
    ScreenLine device = labelled("device");
    append(device, bar({parts.begin(), parts.end()}, static_cast<double>(pages.n_pages), bar_width_,
                       frame_.has_blocks));
    device.add(fmt::format("  {}", short_count(static_cast<double>(pages.n_pages))));
    device.add(fmt::format(" pages  {}", as_bytes(pages.n_pages)), kDim);
    lines_.push_back(std::move(device));
    ScreenLine legend = labelled("");
    for (std::size_t i = 0; i < parts.size(); ++i) {
        legend.add(bar_piece(i, frame_.has_blocks), bar_colour(i));
        legend.add(fmt::format(" {}", parts[i]), kBold).add(fmt::format(" {}   ", kNames[i]), kDim);
    }
    legend.add(bar_rest(frame_.has_blocks), kDim).add(fmt::format(" {}", pages.n_free), kBold);
    lines_.push_back(std::move(legend.add(" free", kDim)));
    ScreenLine host = labelled("host");
    const bool has_host = pages.n_host_slots != 0 || pages.n_on_host != 0;
    if (!has_host) {
        host.add("off", kDim);
    } else {
        append(host, bar({static_cast<double>(pages.n_on_host)},
                         static_cast<double>(pages.n_host_slots), bar_width_, frame_.has_blocks));
        host.add(fmt::format("  {}", pages.n_on_host), bar_colour(0));
        host.add(fmt::format(" of {} pages  {}", pages.n_host_slots, as_bytes(pages.n_on_host)),
                 kDim);
    }
    if (has_host || !is_low()) lines_.push_back(std::move(host));
    if (pages.n_snapshots == 0 && is_low()) return;
    lines_.push_back(labelled("disk"));
    lines_.back().add(
        pages.n_snapshots == 0
            ? "nothing saved"
            : fmt::format("{} in {} files", short_bytes(static_cast<double>(pages.disk_bytes)),
                          pages.n_snapshots),
        kDim);
}

/// The cells that fit, whole; nullptr: their titles.
std::string TopScreen::session_line(const TopSession* session) const {
    const TopSession& s = session == nullptr ? TopSession{} : *session;
    const char* mark = !s.is_running ? "  " : frame_.has_blocks ? "▶ " : "> ";
    const auto count = [](std::uint64_t n) { return short_count(static_cast<double>(n)); };
    const std::string ttl = s.expires_in_seconds ? short_duration(*s.expires_in_seconds) : "-";
    struct Column {
        const char* title;
        std::string text;
        std::size_t width;
        bool is_number;
    };
    const std::array<Column, 10> columns = {
        {{"SESSION", s.id, name_width(), false},
         {"TOKENS", count(s.n_tokens), 8, true},
         {"PAGES", count(s.n_pages), 7, true},
         {"SIZE", short_bytes(static_cast<double>(s.bytes)), 11, true},
         {"AGE", short_duration(s.age_seconds), 6, true},
         {"IDLE", short_duration(s.idle_seconds), 6, true},
         {"TTL", ttl, 6, true},
         {"REQS", count(s.n_requests), 7, true},
         {"TIER", s.tier, 6, false},
         {"CONTEXT", s.context, 12, false}}};
    std::string line = std::string(" ") + mark;
    std::size_t used = 3;
    for (const Column& column : columns) {
        const std::size_t gap = column.is_number || used == 3 ? 0 : 2;
        used += column.width + gap;
        if (used > frame_.width) break;
        const std::string text = session == nullptr ? column.title : column.text;
        line.append(gap, ' ');
        line +=
            column.is_number ? fmt::format("{:>{}}", text, column.width) : cell(text, column.width);
    }
    return line;
}

void TopScreen::add_sessions() {
    blank();
    ScreenLine head;
    head.add(session_line(nullptr), kHead);
    head.cut(frame_.width);
    head.fill(frame_.width);
    lines_.push_back(std::move(head));
    std::size_t n_shown = report_.sessions.size();
    if (frame_.height != 0) {
        const std::size_t used = lines_.size() + 1;  // the last line is the foot
        n_shown = std::min(n_shown, frame_.height - std::min(frame_.height, used));
    }
    for (std::size_t i = 0; i < n_shown; ++i) {
        const TopSession& session = report_.sessions[i];
        lines_.emplace_back().add(session_line(&session), session.is_running ? "32" : "");
    }
    if (report_.sessions.empty() && (frame_.height == 0 || lines_.size() + 1 < frame_.height))
        lines_.emplace_back().add("   none", kDim);
    std::string foot = frame_.has_keys
                           ? fmt::format(" every {:g} s, q leaves", report_.interval_seconds)
                           : std::string();
    const std::size_t n_hidden = report_.sessions.size() - n_shown;
    if (n_hidden > 0) foot += fmt::format("   and {} more sessions", n_hidden);
    if (foot.empty()) return;
    while (frame_.height != 0 && lines_.size() + 1 < frame_.height) lines_.emplace_back();
    lines_.emplace_back().add(foot, kDim);
}

std::vector<ScreenLine> TopScreen::lines() {
    add_head();
    add_rates();
    blank();
    add_pages();
    add_sessions();
    if (frame_.height != 0 && lines_.size() > frame_.height) lines_.resize(frame_.height);
    for (ScreenLine& line : lines_) line.cut(frame_.width);
    return std::move(lines_);
}

}  // namespace

std::vector<ScreenLine> top_screen(const TopReport& report, const TopFrame& frame) {
    return TopScreen(report, frame).lines();
}

}  // namespace kvasir::client
