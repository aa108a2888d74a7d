#include "config/base/log.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <memory>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace kvasir {

namespace {

// Lines of log_line are fields already; what other code gives to spdlog directly is text to be
// quoted.
constexpr const char* kFieldsLogger = "kvasir.fields";

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::trace: return spdlog::level::trace;
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
        case LogLevel::off: return spdlog::level::off;
    }
    return spdlog::level::info;
}

struct LevelName {
    int priority;  // Source: sd-daemon(3), the syslog levels
    const char* name;
};
LevelName level_name(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::trace: return {7, "trace"};
        case spdlog::level::debug: return {7, "debug"};
        case spdlog::level::info: return {6, "info"};
        case spdlog::level::warn: return {4, "warn"};
        case spdlog::level::err: return {3, "error"};
        default: return {2, "critical"};
    }
}

class LineFormatter final : public spdlog::formatter {
public:
    explicit LineFormatter(bool journal) : journal_(journal) {}

    void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override {
        const auto [priority, name] = level_name(msg.level);
        const auto end = fmt::appender(out);
        if (journal_) {
            fmt::format_to(end, "<{}>", priority);
        } else {
            append_time(msg.time, out);
        }
        const std::string_view payload(msg.payload.data(), msg.payload.size());
        const bool fields =
            std::string_view(msg.logger_name.data(), msg.logger_name.size()) == kFieldsLogger;
        fmt::format_to(end, "level={} {}{}\n", name,
                       fields ? "" : "msg=", fields ? std::string(payload) : log_quoted(payload));
    }

    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<LineFormatter>(journal_);
    }

private:
    static void append_time(spdlog::log_clock::time_point time, spdlog::memory_buf_t& out) {
        using namespace std::chrono;
        const auto since_epoch = duration_cast<milliseconds>(time.time_since_epoch()).count();
        const auto seconds = static_cast<std::time_t>(since_epoch / 1000);
        std::tm utc{};
        gmtime_r(&seconds, &utc);
        fmt::format_to(fmt::appender(out), "time={:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z ",
                       utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                       utc.tm_sec, since_epoch % 1000);
    }

    bool journal_;
};

/// JOURNAL_STREAM is "device:inode" of the stream the journal reads. A child that sends its stderr
/// elsewhere inherits the variable, hence the comparison. Source: systemd.exec(5)
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || fstat(2, &status) != 0) return false;
    return stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

std::shared_ptr<spdlog::logger> make_fields_logger(LogLevel level) {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_formatter(std::make_unique<LineFormatter>(stderr_is_journal()));
    auto logger = std::make_shared<spdlog::logger>(kFieldsLogger, std::move(sink));
    logger->set_level(to_spdlog(level));
    return logger;
}

std::shared_ptr<spdlog::logger>& fields_logger() {
    static std::shared_ptr<spdlog::logger> logger = make_fields_logger(LogLevel::info);
    return logger;
}

/// Bytes of the UTF-8 character at the front, 0 where there is none: overlong forms, surrogates,
/// stray bytes.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0U) != 0x80U) return 0;
    }
    const unsigned second = byte(1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool beyond = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    return overlong || beyond ? 0 : length;
}

}  // namespace

LogField::LogField(std::string_view field, double content)
    : key(field), value(fmt::format("{:.6g}", content)) {}

std::string log_quoted(std::string_view value) {
    const auto is_plain = [](char c) {
        return (c >= '!' && c <= '~') && c != '"' && c != '=' && c != '\\';
    };
    if (!value.empty() && std::ranges::all_of(value, is_plain)) return std::string(value);
    std::string out = "\"";
    while (!value.empty()) {
        const auto byte = static_cast<unsigned char>(value.front());
        const std::size_t length = utf8_length(value);
        // U+0080 to U+009F are controls too: some terminals obey them.
        const bool control =
            byte < 0x20 || byte == 0x7f ||
            (byte == 0xc2 && length == 2 && static_cast<unsigned char>(value[1]) < 0xa0);
        if (byte == '"' || byte == '\\') {
            out += {'\\', value.front()};
        } else if (byte == '\n') {
            out += "\\n";
        } else if (length == 0 || control) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += value.substr(0, length);
        }
        // A control of two bytes leaves its second byte, which alone is not UTF-8 and is escaped
        // next.
        value.remove_prefix(length == 0 || control ? 1 : length);
    }
    return out += '"';
}

void set_up_log(LogLevel level) {
    fields_logger() = make_fields_logger(level);
    auto plain = std::make_shared<spdlog::logger>("", fields_logger()->sinks().front());
    plain->set_level(to_spdlog(level));
    spdlog::set_default_logger(std::move(plain));
}

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const auto& logger = fields_logger();
    const auto spdlog_level = to_spdlog(level);
    if (level == LogLevel::off || !logger->should_log(spdlog_level)) return;
    std::string line = "msg=" + log_quoted(message);
    for (const LogField& field : fields)
        fmt::format_to(std::back_inserter(line), " {}={}", field.key, log_quoted(field.value));
    logger->log(spdlog_level, spdlog::string_view_t(line));
}

}  // namespace kvasir
