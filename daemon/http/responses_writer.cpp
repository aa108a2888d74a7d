#include "daemon/http/responses_writer.hpp"

#include <algorithm>

#include "daemon/http/json_writer.hpp"

namespace kvasir {

namespace {

void append_typed_event(std::string& out, const char* type, std::string_view json) {
    out += "event: ";
    out += type;
    out += '\n';
    append_event(out, json);
}

void write_optional(JsonWriter& json, const char* name, const std::optional<std::string>& value) {
    json.key(name);
    value ? json.string(*value) : json.null();
}

void write_error(JsonWriter& json, const ApiError& error) {
    json.begin_object();
    json.field("code", error.kind == ErrorKind::exhausted ? "rate_limit_exceeded" : "server_error");
    json.field("message", error.message).end_object();
}

/// Of the request, as understood; what this server has not is said to be off.
void write_echo(JsonWriter& json, const ResponseEcho& echo) {
    write_optional(json, "instructions", echo.instructions);
    json.key("max_output_tokens");
    echo.max_output_tokens ? json.number(std::uint64_t{*echo.max_output_tokens}) : json.null();
    json.key("parallel_tool_calls").boolean(echo.parallel_tool_calls);
    json.key("previous_response_id").null();
    write_optional(json, "prompt_cache_key", echo.prompt_cache_key);
    json.key("reasoning").begin_object();
    write_optional(json, "effort", echo.effort);
    json.key("summary").null().end_object();
    json.field("service_tier", echo.priority == Priority::background ? "flex" : "default");
    json.key("store").boolean(false);
    json.key("temperature").number(echo.temperature);
    json.key("text").begin_object().key("format").valid_json(echo.text_format).end_object();
    json.key("tool_choice").valid_json(echo.tool_choice);
    json.key("tools").valid_json(echo.tools);
    json.key("top_logprobs").number(std::uint64_t{0});
    json.key("top_p").number(echo.top_p);
    json.field("truncation", echo.truncates ? "auto" : "disabled");
    json.key("metadata").begin_object();
    for (const auto& [key, value] : echo.metadata) json.field(key, value);
    json.end_object();
}

using Kind = ResponsesItem::Kind;
using Status = ResponsesItem::Status;

Status last_status(const GenerationEnd& end) {
    return end.reason == FinishReason::length ? Status::incomplete : Status::completed;
}

ResponsesItem make_call(const ChoicePart::Call& call) {
    ResponsesItem item = make_item(Kind::function_call);
    item.call_id = call.id;
    item.name = call.name;
    return item;
}

}  // namespace

const char* ResponsesWriter::status(const State& state) const {
    if (state.error != nullptr) return "failed";
    if (state.end == nullptr) return "in_progress";
    return state.end->reason == FinishReason::length ? "incomplete" : "completed";
}

void ResponsesWriter::write_usage(JsonWriter& json, const GenerationEnd& end) const {
    const std::uint64_t n_prompt = end.n_prompt_tokens;
    const std::uint64_t n_generated = end.n_generated_tokens;
    std::uint64_t n_thought = 0;
    for (const ResponsesItem& item : items_)
        if (item.kind == Kind::reasoning) n_thought += parts_.count_tokens(item.text);
    json.begin_object().field("input_tokens", n_prompt);
    json.key("input_tokens_details").begin_object();
    json.field("cached_tokens", std::uint64_t{end.n_cached_tokens}).end_object();
    json.field("output_tokens", n_generated);
    json.key("output_tokens_details").begin_object();
    json.field("reasoning_tokens", std::min(n_thought, n_generated)).end_object();
    json.field("total_tokens", n_prompt + n_generated).end_object();
}

void ResponsesWriter::write_response(JsonWriter& json, const State& state) const {
    json.begin_object().field("id", shape_.id).field("object", "response");
    json.field("created_at", shape_.created).field("status", status(state));
    json.key("background").boolean(false);
    json.key("error");
    state.error == nullptr ? static_cast<void>(json.null()) : write_error(json, *state.error);
    json.key("incomplete_details");
    if (state.end != nullptr && state.end->reason == FinishReason::length) {
        json.begin_object().field("reason", "max_output_tokens").end_object();
    } else {
        json.null();
    }
    json.field("model", shape_.model).key("output").begin_array();
    for (const ResponsesItem& item : items_) write_item(json, item, true);
    json.end_array();
    write_echo(json, shape_.echo);
    json.key("usage");
    state.end == nullptr ? static_cast<void>(json.null()) : write_usage(json, *state.end);
    json.end_object();
}

void ResponsesWriter::remember_items() const {
    if (!shape_.remember) return;
    for (const ResponsesItem& item : items_) {
        std::string text;
        JsonWriter json(text);
        write_item(json, item, true);
        shape_.remember(item.id, std::move(text));
    }
}

void ResponsesWriter::begin_event(JsonWriter& json, const char* type) {
    json.begin_object().field("type", type).field("sequence_number", n_events_++);
}

void ResponsesWriter::append_response_event(std::string& out, const char* type,
                                            const State& state) {
    std::string event;
    JsonWriter json(event);
    begin_event(json, type);
    json.key("response");
    write_response(json, state);
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::begin_item_event(JsonWriter& json, const char* type) {
    begin_event(json, type);
    json.field("item_id", items_.back().id);
    json.field("output_index", std::uint64_t{items_.size() - 1});
}

void ResponsesWriter::append_item_event(std::string& out, const char* type, bool has_part) {
    std::string event;
    JsonWriter json(event);
    begin_event(json, type);
    json.field("output_index", std::uint64_t{items_.size() - 1}).key("item");
    write_item(json, items_.back(), has_part);
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::append_part_event(std::string& out, const char* type) {
    std::string event;
    JsonWriter json(event);
    begin_item_event(json, type);
    json.field("content_index", std::uint64_t{0}).key("part");
    write_part(json, items_.back().kind, items_.back().text);
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::append_delta(std::string& out, const std::string& text) {
    if (text.empty()) return;
    const char* type = delta_event(items_.back().kind);
    items_.back().text += text;
    std::string event;
    JsonWriter json(event);
    begin_item_event(json, type);
    if (items_.back().kind != Kind::function_call) json.field("content_index", std::uint64_t{0});
    json.field("delta", text);
    if (items_.back().kind == Kind::message) json.key("logprobs").begin_array().end_array();
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::append_done(std::string& out) {
    const ResponsesItem& item = items_.back();
    const char* type = done_event(item.kind);
    std::string event;
    JsonWriter json(event);
    begin_item_event(json, type);
    if (item.kind == Kind::function_call) {
        json.field("name", item.name).field("arguments", item.text).end_object();
    } else {
        json.field("content_index", std::uint64_t{0}).field("text", item.text);
        if (item.kind == Kind::message) json.key("logprobs").begin_array().end_array();
        json.end_object();
    }
    append_typed_event(out, type, event);
}

bool ResponsesWriter::is_open(Kind kind) const {
    return !items_.empty() && items_.back().kind == kind &&
           items_.back().status == Status::in_progress;
}

void ResponsesWriter::open_item(std::string& out, ResponsesItem item) {
    close_item(out, Status::completed);
    items_.push_back(std::move(item));
    append_item_event(out, "response.output_item.added", false);
    if (items_.back().kind != Kind::function_call)
        append_part_event(out, "response.content_part.added");
}

void ResponsesWriter::close_item(std::string& out, Status status) {
    if (items_.empty() || !is_open(items_.back().kind)) return;
    append_done(out);
    if (items_.back().kind != Kind::function_call)
        append_part_event(out, "response.content_part.done");
    items_.back().status = status;
    append_item_event(out, "response.output_item.done", true);
}

void ResponsesWriter::append_text(std::string& out, Kind kind, const std::string& text) {
    if (text.empty()) return;
    if (!is_open(kind)) open_item(out, make_item(kind));
    append_delta(out, text);
}

void ResponsesWriter::append_call(std::string& out, const ChoicePart::Call& call) {
    if (!call.name.empty()) open_item(out, make_call(call));
    if (is_open(Kind::function_call)) append_delta(out, call.arguments);
}

void ResponsesWriter::append_part(std::string& out, const ChoicePart& part) {
    append_text(out, Kind::reasoning, part.thoughts);
    auto call = part.calls.begin();
    // The rest of a call that has begun stands before the text that follows it.
    if (call != part.calls.end() && call->name.empty()) append_call(out, *call++);
    append_text(out, Kind::message, part.text);
    for (; call != part.calls.end(); ++call) append_call(out, *call);
}

void ResponsesWriter::open(std::string& out) {
    append_response_event(out, "response.created", {});
    append_response_event(out, "response.in_progress", {});
}

void ResponsesWriter::chunk(std::string& out, std::size_t choice, GenerationChunk chunk) {
    append_part(out, parts_.push(choice, std::move(chunk.text)));
}

void ResponsesWriter::finish(std::string& out, std::size_t last_choice,
                             std::span<const GenerationEnd> ends) {
    const State state{.end = &ends[last_choice], .error = nullptr};
    append_part(out, parts_.finish(last_choice));
    if (items_.empty()) open_item(out, make_item(Kind::message));
    close_item(out, last_status(*state.end));
    remember_items();
    append_response_event(
        out,
        state.end->reason == FinishReason::length ? "response.incomplete" : "response.completed",
        state);
}

void ResponsesWriter::fail(std::string& out, const ApiError& error) {
    if (!items_.empty() && is_open(items_.back().kind)) items_.back().status = Status::incomplete;
    append_response_event(out, "response.failed", {.end = nullptr, .error = &error});
}

std::string ResponsesWriter::whole(std::span<ChoicePart> parts,
                                   std::span<const GenerationEnd> ends) {
    const State state{.end = &ends.front(), .error = nullptr};
    ChoicePart said = parts_.whole(0, std::move(parts.front().text));
    const auto add = [&](ResponsesItem item, std::string text) {
        item.text = std::move(text);
        item.status = Status::completed;
        items_.push_back(std::move(item));
    };
    if (!said.thoughts.empty()) add(make_item(Kind::reasoning), std::move(said.thoughts));
    const bool is_empty = said.calls.empty() && items_.empty();
    if (!said.text.empty() || is_empty) add(make_item(Kind::message), std::move(said.text));
    for (ChoicePart::Call& call : said.calls) add(make_call(call), std::move(call.arguments));
    items_.back().status = last_status(ends.front());
    remember_items();
    std::string out;
    JsonWriter json(out);
    write_response(json, state);
    return out;
}

}  // namespace kvasir
