#include "daemon/http/ollama_writer.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <utility>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

namespace {

std::uint64_t nanoseconds(double ms) {
    return ms > 0 ? static_cast<std::uint64_t>(ms * 1e6) : 0;
}

/// Calls' arguments are checked.
void write_calls(JsonWriter& json, const std::vector<ChoicePart::Call>& calls) {
    json.key("tool_calls").begin_array();
    for (const ChoicePart::Call& call : calls) {
        json.begin_object().field("id", call.id).key("function").begin_object();
        json.field("name", call.name).key("arguments").valid_json(call.arguments);
        json.end_object().end_object();
    }
    json.end_array();
}

/// A record up to and with what it says.
void write_said(JsonWriter& json, const OllamaWriter::Shape& shape, const ChoicePart& part) {
    json.begin_object()
        .field("model", shape.model)
        .field("created_at", utc_time(std::chrono::system_clock::now().time_since_epoch()));
    if (shape.is_chat) json.key("message").begin_object().field("role", "assistant");
    json.field(shape.is_chat ? "content" : "response", part.text);
    if (!part.thoughts.empty()) json.field("thinking", part.thoughts);
    if (!part.calls.empty()) write_calls(json, part.calls);
    if (shape.is_chat) json.end_object();
}

bool is_json_object(const std::string& text) {
    boost::system::error_code failed;
    boost::json::parse_options options;
    options.max_depth = 512;
    return boost::json::parse(text, failed, {}, options).is_object();
}

}  // namespace

std::string utc_time(std::chrono::nanoseconds since_1970) {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since_1970);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(std::time_t{whole.count()}),
                       (since_1970 - whole).count());
}

void OllamaWriter::begin(std::span<const GenerationRequest> requests) {
    if (shape_.returns_context && !requests.empty()) context_ = requests.front().prompt;
    parts_.begin(requests);
}

/// Leaves those calls in part that have all come.
void OllamaWriter::gather_calls(ChoicePart& part) {
    for (ChoicePart::Call& call : std::exchange(part.calls, {})) {
        if (!call.name.empty()) {
            end_call(part);
            call_ = std::move(call);
        } else if (call_) {
            call_->arguments += call.arguments;
        }
    }
}

/// Arguments that are no object, be they cut or misspelt, are text: the field for them takes none.
void OllamaWriter::end_call(ChoicePart& part) {
    if (!call_) return;
    if (is_json_object(call_->arguments)) {
        // Between values alone; a record is one line.
        std::ranges::replace(call_->arguments, '\n', ' ');
        std::ranges::replace(call_->arguments, '\r', ' ');
        part.calls.push_back(std::move(*call_));
    } else {
        part.text += R"({"name": ")" + call_->name + R"(", "arguments": )" + call_->arguments;
    }
    call_.reset();
}

void OllamaWriter::keep(const std::vector<GeneratedToken>& tokens) {
    if (!shape_.returns_context) return;
    for (const GeneratedToken& token : tokens) context_.push_back(token.id);
}

void OllamaWriter::append_piece(std::string& out, const ChoicePart& part) const {
    JsonWriter json(out);
    write_said(json, shape_, part);
    json.key("done").boolean(false).end_object();
    out += '\n';
}

void OllamaWriter::append_last(std::string& out, const ChoicePart& part, const GenerationEnd& end) {
    JsonWriter json(out);
    write_said(json, shape_, part);
    json.key("done").boolean(true);
    json.field("done_reason", to_string(end.reason));
    if (shape_.returns_context) {
        if (end.end_token) context_.push_back(*end.end_token);
        json.key("context").begin_array();
        for (const TokenId id : context_) json.number(static_cast<std::uint64_t>(id));
        json.end_array();
    }
    const std::chrono::duration<double, std::milli> total =
        std::chrono::steady_clock::now() - start_;
    json.field("total_duration", nanoseconds(total.count()));
    json.field("load_duration", std::uint64_t{0});  // it was loaded before anybody asked
    json.field("prompt_eval_count", std::uint64_t{end.n_prompt_tokens});
    json.field("prompt_eval_duration", nanoseconds(end.prompt_ms));
    json.field("eval_count", std::uint64_t{end.n_generated_tokens});
    json.field("eval_duration", nanoseconds(end.generate_ms));
    json.end_object();
}

void OllamaWriter::open(std::string&) {}

void OllamaWriter::chunk(std::string& out, std::size_t choice, GenerationChunk chunk) {
    keep(chunk.tokens);
    ChoicePart part = parts_.push(choice, std::move(chunk.text));
    gather_calls(part);
    if (!part.says_nothing()) append_piece(out, part);
}

void OllamaWriter::end_choice(std::string&, std::size_t, const GenerationEnd&) {}

void OllamaWriter::finish(std::string& out, std::size_t last_choice,
                          std::span<const GenerationEnd> ends) {
    ChoicePart rest = parts_.finish(last_choice);
    gather_calls(rest);
    end_call(rest);
    if (!rest.says_nothing()) append_piece(out, rest);
    append_last(out, {}, ends[last_choice]);
    out += '\n';
}

void OllamaWriter::keep_alive(std::string& out) {
    append_piece(out, {});
}

void OllamaWriter::fail(std::string& out, const ApiError& error) {
    out += ollama_error_response(error).body;
    out += '\n';
}

std::string OllamaWriter::whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) {
    keep(parts.front().tokens);
    ChoicePart said = parts_.whole(0, std::move(parts.front().text));
    gather_calls(said);
    end_call(said);
    std::string out;
    append_last(out, said, ends.front());
    return out;
}

HttpResponse OllamaWriter::refuse(const ApiError& error) const {
    return ollama_error_response(error);
}

std::string ollama_load_json(const std::string& model, bool is_chat) {
    std::string out;
    JsonWriter json(out);
    write_said(json, {.model = model, .is_chat = is_chat}, {});
    json.key("done").boolean(true).field("done_reason", "load").end_object();
    return out;
}

}  // namespace kvasir
