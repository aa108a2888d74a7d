#include "daemon/http/ollama_writer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

namespace {

std::uint64_t nanoseconds(double ms) {
    return ms > 0 ? static_cast<std::uint64_t>(ms * 1e6) : 0;
}

/// A record up to and with its text.
void write_text(JsonWriter& json, const std::string& model, bool is_chat, std::string_view text) {
    json.begin_object()
        .field("model", model)
        .field("created_at", utc_time(std::chrono::system_clock::now().time_since_epoch()));
    if (!is_chat) {
        json.field("response", text);
        return;
    }
    json.key("message").begin_object();
    json.field("role", "assistant").field("content", text).end_object();
}

}  // namespace

std::string utc_time(std::chrono::nanoseconds since_1970) {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since_1970);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(std::time_t{whole.count()}),
                       (since_1970 - whole).count());
}

void OllamaWriter::begin(std::span<const GenerationRequest> requests) {
    if (shape_.returns_context && !requests.empty()) context_ = requests.front().prompt;
}

void OllamaWriter::keep(const std::vector<GeneratedToken>& tokens) {
    if (!shape_.returns_context) return;
    for (const GeneratedToken& token : tokens) context_.push_back(token.id);
}

void OllamaWriter::append_piece(std::string& out, std::string_view text) const {
    JsonWriter json(out);
    write_text(json, shape_.model, shape_.is_chat, text);
    json.key("done").boolean(false).end_object();
    out += '\n';
}

void OllamaWriter::append_last(std::string& out, std::string_view text, const GenerationEnd& end) {
    JsonWriter json(out);
    write_text(json, shape_.model, shape_.is_chat, text);
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

void OllamaWriter::chunk(std::string& out, std::size_t, GenerationChunk chunk) {
    keep(chunk.tokens);
    if (!chunk.text.empty()) append_piece(out, chunk.text);
}

void OllamaWriter::end_choice(std::string&, std::size_t, const GenerationEnd&) {}

void OllamaWriter::finish(std::string& out, std::size_t last_choice,
                          std::span<const GenerationEnd> ends) {
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
    std::string out;
    append_last(out, parts.front().text, ends.front());
    return out;
}

HttpResponse OllamaWriter::refuse(const ApiError& error) const {
    return ollama_error_response(error);
}

std::string ollama_load_json(const std::string& model, bool is_chat) {
    std::string out;
    JsonWriter json(out);
    write_text(json, model, is_chat, {});
    json.key("done").boolean(true).field("done_reason", "load").end_object();
    return out;
}

}  // namespace kvasir
