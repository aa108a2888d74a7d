#include "daemon/http/responses_writer.hpp"

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

void write_usage(JsonWriter& json, const GenerationEnd& end) {
    const std::uint64_t n_prompt = end.n_prompt_tokens;
    const std::uint64_t n_generated = end.n_generated_tokens;
    json.begin_object().field("input_tokens", n_prompt);
    json.key("input_tokens_details").begin_object();
    json.field("cached_tokens", std::uint64_t{end.n_cached_tokens}).end_object();
    json.field("output_tokens", n_generated);
    json.key("output_tokens_details").begin_object();
    json.field("reasoning_tokens", std::uint64_t{0}).end_object();
    json.field("total_tokens", n_prompt + n_generated).end_object();
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
    json.field("service_tier", "default").key("store").boolean(false);
    json.key("temperature").number(echo.temperature);
    json.key("text").begin_object().key("format").begin_object();
    json.field("type", "text").end_object().end_object();
    json.field("tool_choice", "auto").key("tools").begin_array().end_array();
    json.key("top_logprobs").number(std::uint64_t{0});
    json.key("top_p").number(echo.top_p);
    json.field("truncation", echo.truncates ? "auto" : "disabled");
    json.key("metadata").begin_object();
    for (const auto& [key, value] : echo.metadata) json.field(key, value);
    json.end_object();
}

}  // namespace

const char* ResponsesWriter::status(const State& state) const {
    if (state.error != nullptr) return "failed";
    if (state.end == nullptr) return "in_progress";
    return state.end->reason == FinishReason::length ? "incomplete" : "completed";
}

void ResponsesWriter::write_part(JsonWriter& json, std::string_view text) const {
    json.begin_object().field("type", "output_text").field("text", text);
    json.key("annotations").begin_array().end_array();
    json.key("logprobs").begin_array().end_array().end_object();
}

void ResponsesWriter::write_item(JsonWriter& json, const State& state, bool has_part) const {
    json.begin_object().field("id", shape_.item_id).field("type", "message");
    json.field("status", state.error != nullptr ? "incomplete" : status(state));
    json.field("role", "assistant").key("content").begin_array();
    if (has_part) write_part(json, text_);
    json.end_array().end_object();
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
    if (state.end != nullptr || state.error != nullptr) write_item(json, state, true);
    json.end_array();
    write_echo(json, shape_.echo);
    json.key("usage");
    state.end == nullptr ? static_cast<void>(json.null()) : write_usage(json, *state.end);
    json.end_object();
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

void ResponsesWriter::append_item_event(std::string& out, const char* type, const State& state,
                                        bool has_part) {
    std::string event;
    JsonWriter json(event);
    begin_event(json, type);
    json.field("output_index", std::uint64_t{0}).key("item");
    write_item(json, state, has_part);
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::append_part_event(std::string& out, const char* type, std::string_view text) {
    std::string event;
    JsonWriter json(event);
    begin_event(json, type);
    json.field("item_id", shape_.item_id).field("output_index", std::uint64_t{0});
    json.field("content_index", std::uint64_t{0}).key("part");
    write_part(json, text);
    json.end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::append_text_event(std::string& out, const char* type, const char* field,
                                        std::string_view text) {
    std::string event;
    JsonWriter json(event);
    begin_event(json, type);
    json.field("item_id", shape_.item_id).field("output_index", std::uint64_t{0});
    json.field("content_index", std::uint64_t{0}).field(field, text);
    json.key("logprobs").begin_array().end_array().end_object();
    append_typed_event(out, type, event);
}

void ResponsesWriter::open(std::string& out) {
    append_response_event(out, "response.created", {});
    append_response_event(out, "response.in_progress", {});
    append_item_event(out, "response.output_item.added", {}, false);
    append_part_event(out, "response.content_part.added", {});
}

void ResponsesWriter::chunk(std::string& out, std::size_t, GenerationChunk chunk) {
    if (chunk.text.empty()) return;
    text_ += chunk.text;
    append_text_event(out, "response.output_text.delta", "delta", chunk.text);
}

void ResponsesWriter::finish(std::string& out, std::size_t last_choice,
                             std::span<const GenerationEnd> ends) {
    const State state{.end = &ends[last_choice], .error = nullptr};
    append_text_event(out, "response.output_text.done", "text", text_);
    append_part_event(out, "response.content_part.done", text_);
    append_item_event(out, "response.output_item.done", state, true);
    append_response_event(
        out,
        state.end->reason == FinishReason::length ? "response.incomplete" : "response.completed",
        state);
}

void ResponsesWriter::fail(std::string& out, const ApiError& error) {
    append_response_event(out, "response.failed", {.end = nullptr, .error = &error});
}

std::string ResponsesWriter::whole(std::span<ChoicePart> parts,
                                   std::span<const GenerationEnd> ends) {
    text_ = std::move(parts.front().text);
    std::string out;
    JsonWriter json(out);
    write_response(json, {.end = &ends.front(), .error = nullptr});
    return out;
}

}  // namespace kvasir
