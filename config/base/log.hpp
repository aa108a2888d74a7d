// Log lines: one line each, logfmt (key=value), to stderr. Nothing logged can forge a line or a
// field.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kvasir {

enum class LogLevel { trace, debug, info, warn, error, off };

/// One key=value of a line. Keys are literals in the code; values may be anything, also hostile
/// bytes.
struct LogField {
    LogField(std::string_view field, std::string content) : key(field), value(std::move(content)) {}
    LogField(std::string_view field, std::string_view content) : key(field), value(content) {}
    LogField(std::string_view field, const char* content) : key(field), value(content) {}
    LogField(std::string_view field, bool content)
        : key(field), value(content ? "true" : "false") {}
    template <class T>
    requires(std::integral<T> && !std::same_as<T, bool>) LogField(std::string_view field, T content)
        : key(field), value(std::to_string(content)) {}
    LogField(std::string_view field, double content);  // up to six significant digits

    std::string_view key;
    std::string value;
};

/// Makes stderr the sink of spdlog's default logger and of the functions below. Under the journal
/// (JOURNAL_STREAM names stderr) lines start with their priority, `<6>`, and carry no time;
/// elsewhere with the time in UTC. Before the first call lines go out at level info. Any thread may
/// log; call this from one thread, before the others start.
void set_up_log(LogLevel level);

/// `level=info msg="model loaded" tensors=56 ms=120`. Blocks as long as a write to stderr does.
void log_line(LogLevel level, std::string_view message,
              std::initializer_list<LogField> fields = {});
inline void log_debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log_line(LogLevel::debug, message, fields);
}
inline void log_info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log_line(LogLevel::info, message, fields);
}
inline void log_warn(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log_line(LogLevel::warn, message, fields);
}
inline void log_error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    log_line(LogLevel::error, message, fields);
}

/// A value as it stands in a line: bare where it is one plain word, else quoted, with control
/// characters and bytes that are not UTF-8 as \xNN.
std::string log_quoted(std::string_view value);

}  // namespace kvasir
