// SseParser: server-sent events from bytes that arrive in any pieces.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::client {

/// Source: WHATWG HTML, 9.2.6 "Interpreting an event stream". Lines end with LF, CR or CRLF; `id`
/// and `retry` are ignored, since nobody reconnects to a generation. Holds at most one event.
class SseParser {
public:
    struct Event {
        std::string name;  // empty unless the server sent `event:`
        std::string data;  // the data lines, joined by LF
    };

    static constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;
    static constexpr std::size_t kMaxEventBytes = std::size_t{4} << 20;

    /// Appends the events that the piece completes. Errors: too_large (a line or an event).
    Result<void> push(std::string_view piece, std::vector<Event>& events);

private:
    Result<void> take_line(std::vector<Event>& events);

    std::string line_;
    Event event_;
    bool has_data_ = false;
    bool after_cr_ = false;   // an LF that follows belongs to the same line end
    bool first_line_ = true;  // may begin with a byte order mark
};

}  // namespace kvasir::client
