#include "daemon/template/time_text.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <fmt/format.h>

namespace kvasir {

TemplateTime TemplateTime::local_now() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm local{};
    localtime_r(&seconds, &local);
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
    return {local.tm_year + 1900,
            local.tm_mon + 1,
            local.tm_mday,
            local.tm_hour,
            local.tm_min,
            local.tm_sec,
            static_cast<int>(micros % 1'000'000)};
}

namespace {

bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_of_month(int year, int month) {
    constexpr std::array kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

}  // namespace

Result<TemplateTime> TemplateTime::parse(std::string_view iso) {
    TemplateTime time;
    const std::array<int*, 6> fields = {&time.year, &time.month,  &time.day,
                                        &time.hour, &time.minute, &time.second};
    constexpr std::string_view kBefore = "?--T::";
    const auto malformed = [&] {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("time \"{}\": expected YYYY-MM-DD[THH:MM[:SS]]", iso)};
    };
    std::size_t at = 0, n_fields = 0;
    for (; n_fields < fields.size() && at < iso.size(); ++n_fields) {
        if (n_fields > 0) {
            const bool is_space = n_fields == 3 && iso[at] == ' ';
            if (iso[at] != kBefore[n_fields] && !is_space) return malformed();
            ++at;
        }
        const std::size_t n_digits = n_fields == 0 ? 4 : 2;
        const std::string_view digits = iso.substr(at, n_digits);
        const auto [end, failed] =
            std::from_chars(digits.data(), digits.data() + digits.size(), *fields[n_fields]);
        if (digits.size() != n_digits || failed != std::errc() || end != digits.end())
            return malformed();
        at += n_digits;
    }
    const bool in_range = time.year >= 1 && time.month >= 1 && time.month <= 12 && time.day >= 1 &&
                          time.day <= days_of_month(time.year, time.month) && time.hour >= 0 &&
                          time.hour < 24 && time.minute >= 0 && time.minute < 60 &&
                          time.second >= 0 && time.second < 60;
    if (at != iso.size() || n_fields < 3 || n_fields == 4 || !in_range) return malformed();
    return time;
}

namespace jinja {

namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

int day_of_year(const TemplateTime& time) {
    int days = time.day;
    for (int month = 1; month < time.month; ++month) days += days_of_month(time.year, month);
    return days;
}

/// 0 is Sunday.
int day_of_week(const TemplateTime& time) {
    const int before = time.year - 1;
    return (before + before / 4 - before / 100 + before / 400 + day_of_year(time)) % 7;
}

/// Week and year of ISO 8601: weeks begin on Monday, the first has the year's first Thursday.
std::pair<int, int> iso_week(const TemplateTime& time) {
    const int weekday = (day_of_week(time) + 6) % 7;  // 0 is Monday
    const int week = (day_of_year(time) - weekday + 9) / 7;
    const auto weeks_in = [](int year) {
        const int first = day_of_week({year, 1, 1});
        return first == 4 || (first == 3 && is_leap(year)) ? 53 : 52;
    };
    if (week < 1) return {time.year - 1, weeks_in(time.year - 1)};
    if (week > weeks_in(time.year)) return {time.year + 1, 1};
    return {time.year, week};
}

std::string directive(const TemplateTime& time, char kind, std::string_view pad) {
    const auto two = [&](int n) {
        return pad == "-" ? fmt::format("{}", n) : fmt::format("{:02}", n);
    };
    const std::string_view day = kDays[static_cast<std::size_t>(day_of_week(time))];
    const std::string_view month = kMonths[static_cast<std::size_t>(time.month - 1)];
    const int hour12 = time.hour % 12 == 0 ? 12 : time.hour % 12;
    switch (kind) {
        case 'Y': return fmt::format("{}", time.year);
        case 'C': return two(time.year / 100);
        case 'y': return two(time.year % 100);
        case 'm': return two(time.month);
        case 'd': return two(time.day);
        case 'e': return pad == "-" ? two(time.day) : fmt::format("{:2}", time.day);
        case 'H': return two(time.hour);
        case 'I': return two(hour12);
        case 'k': return fmt::format("{:2}", time.hour);
        case 'l': return fmt::format("{:2}", hour12);
        case 'M': return two(time.minute);
        case 'S': return two(time.second);
        case 'f': return fmt::format("{:06}", time.microsecond);
        case 'p': return time.hour < 12 ? "AM" : "PM";
        case 'a': return std::string(day.substr(0, 3));
        case 'A': return std::string(day);
        case 'b':
        case 'h': return std::string(month.substr(0, 3));
        case 'B': return std::string(month);
        case 'j':
            return pad == "-" ? fmt::format("{}", day_of_year(time))
                              : fmt::format("{:03}", day_of_year(time));
        case 'w': return fmt::format("{}", day_of_week(time));
        case 'u': return fmt::format("{}", (day_of_week(time) + 6) % 7 + 1);
        case 'U': return two((day_of_year(time) + 6 - day_of_week(time)) / 7);
        case 'W': return two((day_of_year(time) + 6 - (day_of_week(time) + 6) % 7) / 7);
        case 'V': return two(iso_week(time).second);
        case 'G': return fmt::format("{}", iso_week(time).first);
        case 'n': return "\n";
        case 't': return "\t";
        case 'z':
        case 'Z': return "";  // Python's, of a time without a zone
        case '%': return "%";
        default: return "?";
    }
}

/// Directives that stand for several others.
std::string_view combined(char kind) {
    switch (kind) {
        case 'c': return "%a %b %e %H:%M:%S %Y";
        case 'x':
        case 'D': return "%m/%d/%y";
        case 'X':
        case 'T': return "%H:%M:%S";
        case 'F': return "%Y-%m-%d";
        case 'R': return "%H:%M";
        case 'r': return "%I:%M:%S %p";
        default: return {};
    }
}

}  // namespace

Result<std::string> time_text(const TemplateTime& time, std::string_view format) {
    std::string out;
    for (std::size_t at = 0; at < format.size(); ++at) {
        if (format[at] != '%' || at + 1 >= format.size()) {
            out += format[at];
            continue;
        }
        std::string_view pad;
        if (format[at + 1] == '-' && at + 2 < format.size()) pad = format.substr(++at, 1);
        const char kind = format[++at];
        if (const std::string_view several = combined(kind); !several.empty()) {
            KVASIR_TRY(const std::string text, time_text(time, several));
            out += text;
        } else if (std::string_view("YCymdeHIklMSfpaAbhBjwuUWVGntzZ%").find(kind) ==
                   std::string_view::npos) {
            return Error{ErrorCode::invalid_argument,
                         fmt::format("strftime_now: unknown directive '%{}'",
                                     static_cast<unsigned char>(kind) < 0x80 ? kind : '?')};
        } else {
            out += directive(time, kind, pad);
        }
    }
    return out;
}

}  // namespace jinja
}  // namespace kvasir
