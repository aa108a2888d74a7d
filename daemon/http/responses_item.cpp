#include "daemon/http/responses_item.hpp"

#include <array>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/server_context.hpp"

namespace kvasir {

namespace {

using Kind = ResponsesItem::Kind;

struct Names {
    const char* type;
    const char* id_prefix;
    const char* delta;
    const char* done;
};

const Names& names_of(Kind kind) {
    static constexpr std::array kNames{
        Names{"reasoning", "rs_", "response.reasoning_text.delta", "response.reasoning_text.done"},
        Names{"message", "msg_", "response.output_text.delta", "response.output_text.done"},
        Names{"function_call", "fc_", "response.function_call_arguments.delta",
              "response.function_call_arguments.done"}};
    return kNames[static_cast<std::size_t>(kind)];
}

const char* name_of(ResponsesItem::Status status) {
    switch (status) {
        case ResponsesItem::Status::in_progress: return "in_progress";
        case ResponsesItem::Status::completed: return "completed";
        case ResponsesItem::Status::incomplete: return "incomplete";
    }
    return "incomplete";
}

}  // namespace

ResponsesItem make_item(Kind kind) {
    ResponsesItem item;
    item.kind = kind;
    item.id = make_id(names_of(kind).id_prefix);
    return item;
}

void write_part(JsonWriter& json, Kind kind, const std::string& text) {
    json.begin_object();
    if (kind == Kind::reasoning) {
        json.field("type", "reasoning_text").field("text", text).end_object();
        return;
    }
    json.field("type", "output_text").field("text", text);
    json.key("annotations").begin_array().end_array();
    json.key("logprobs").begin_array().end_array().end_object();
}

void write_item(JsonWriter& json, const ResponsesItem& item, bool has_part) {
    json.begin_object().field("id", item.id).field("type", names_of(item.kind).type);
    json.field("status", name_of(item.status));
    if (item.kind == Kind::function_call) {
        json.field("call_id", item.call_id).field("name", item.name);
        json.field("arguments", item.text).end_object();
        return;
    }
    if (item.kind == Kind::message) json.field("role", "assistant");
    if (item.kind == Kind::reasoning) json.key("summary").begin_array().end_array();
    json.key("content").begin_array();
    if (has_part) write_part(json, item.kind, item.text);
    json.end_array().end_object();
}

const char* delta_event(Kind kind) {
    return names_of(kind).delta;
}

const char* done_event(Kind kind) {
    return names_of(kind).done;
}

}  // namespace kvasir
