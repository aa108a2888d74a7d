// ResponsesItem: one element of a Response's output.
#pragma once

#include <string>

namespace kvasir {

class JsonWriter;

struct ResponsesItem {
    enum class Kind { reasoning, message, function_call };
    enum class Status { in_progress, completed, incomplete };

    Kind kind = Kind::message;
    std::string id;
    std::string text;  // thoughts, text or arguments so far
    std::string call_id;
    std::string name;  // of the function
    Status status = Status::in_progress;
};

/// A new one, with an id of its kind.
ResponsesItem make_item(ResponsesItem::Kind kind);

/// has_part: text is there, were it empty; else the item has only begun.
void write_item(JsonWriter& json, const ResponsesItem& item, bool has_part);
/// What thoughts and messages have their text in.
void write_part(JsonWriter& json, ResponsesItem::Kind kind, const std::string& text);

/// The event that brings a piece of its text or arguments, and the one that repeats all of it.
const char* delta_event(ResponsesItem::Kind kind);
const char* done_event(ResponsesItem::Kind kind);

}  // namespace kvasir
