#include "daemon/kvasir/sse_parser.hpp"

#include <utility>

namespace kvasir::client {

Result<void> SseParser::push(std::string_view piece, std::vector<Event>& events) {
    while (!piece.empty()) {
        if (std::exchange(after_cr_, false) && piece.front() == '\n') {
            piece.remove_prefix(1);
            continue;
        }
        const std::size_t end = piece.find_first_of("\r\n");
        const std::string_view part = piece.substr(0, end);
        if (line_.size() + part.size() > kMaxLineBytes) {
            return Error{ErrorCode::too_large, "event stream: a line of more than " +
                                                   std::to_string(kMaxLineBytes) + " bytes"};
        }
        line_.append(part);
        if (end == std::string_view::npos) break;
        after_cr_ = piece[end] == '\r';
        piece.remove_prefix(end + 1);
        KVASIR_TRY_VOID(take_line(events));
        line_.clear();
    }
    return {};
}

Result<void> SseParser::take_line(std::vector<Event>& events) {
    std::string_view line = line_;
    if (std::exchange(first_line_, false) && line.starts_with("\xEF\xBB\xBF"))
        line.remove_prefix(3);
    if (line.empty()) {
        if (has_data_) events.push_back(std::move(event_));
        event_ = {};
        has_data_ = false;
        return {};
    }
    const std::size_t colon = line.find(':');  // at 0: a comment, whose field name is empty
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
        if (event_.data.size() + value.size() >= kMaxEventBytes) {
            return Error{ErrorCode::too_large, "event stream: an event of more than " +
                                                   std::to_string(kMaxEventBytes) + " bytes"};
        }
        if (has_data_) event_.data.push_back('\n');
        event_.data.append(value);
        has_data_ = true;
    } else if (field == "event") {
        event_.name = value;
    }
    return {};
}

}  // namespace kvasir::client
