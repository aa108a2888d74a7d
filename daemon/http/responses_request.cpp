#include "daemon/http/responses_request.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <limits>

#include "daemon/http/chat_text.hpp"
#include "daemon/http/responses_input.hpp"
#include "daemon/http/set_conversation.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

// Source: OpenAI's API reference, "metadata".
constexpr std::size_t kMostMetadata = 16;
constexpr std::size_t kMetadataKeyBytes = 64;
constexpr std::size_t kMetadataValueBytes = 512;

ApiError unsupported(const std::string& param, std::string_view expected) {
    return {ErrorKind::unsupported_parameter,
            fmt::format("{}: not supported by this server, expected {}", param, expected), param};
}

Outcome read_object(const JsonFields& fields, std::string_view name, const json::object*& found) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) {
        return field_error(fields.param(name),
                           fmt::format("{}, expected an object", json_kind_name(*value)));
    }
    found = &value->get_object();
    return std::nullopt;
}

/// Absent, or one of those.
Outcome check_word(const JsonFields& fields, std::string_view name,
                   std::initializer_list<std::string_view> words) {
    std::optional<std::string_view> found;
    KVASIR_STEP(store(fields.string(name), found));
    if (!found) return std::nullopt;
    for (const std::string_view word : words)
        if (*found == word) return std::nullopt;
    return unsupported(fields.param(name), fmt::format("\"{}\"", fmt::join(words, "\" or \"")));
}

Outcome read_text(const JsonFields& fields, CompletionRequest& request, ResponseEcho& echo) {
    const json::object* text = nullptr;
    KVASIR_STEP(read_object(fields, "text", text));
    if (text == nullptr) return std::nullopt;
    const JsonFields inner(*text, "text.");
    KVASIR_STEP(check_word(inner, "verbosity", {"medium"}));
    const json::object* format = nullptr;
    KVASIR_STEP(read_object(inner, "format", format));
    if (format == nullptr) return std::nullopt;
    echo.text_format = json::serialize(*format);
    const JsonFields format_fields(*format, "text.format.");
    return read_text_format(format_fields, request);
}

Outcome read_reasoning(const JsonFields& fields, json::object& template_variables,
                       ResponseEcho& echo) {
    const json::object* reasoning = nullptr;
    KVASIR_STEP(read_object(fields, "reasoning", reasoning));
    if (reasoning == nullptr) return std::nullopt;
    const JsonFields inner(*reasoning, "reasoning.");
    KVASIR_STEP(check_word(inner, "effort", {"none", "minimal", "low", "medium", "high", "xhigh"}));
    KVASIR_STEP(store(inner.string("effort"), echo.effort));
    KVASIR_STEP(check_word(inner, "summary", {"auto"}));  // where there is none, auto is none
    KVASIR_STEP(check_word(inner, "generate_summary", {"auto"}));
    if (!echo.effort) return std::nullopt;
    template_variables["enable_thinking"] = *echo.effort != "none";
    if (*echo.effort != "none") template_variables["reasoning_effort"] = *echo.effort;
    return std::nullopt;
}

Outcome read_metadata(const JsonFields& fields, ResponseEcho& echo) {
    const json::object* metadata = nullptr;
    KVASIR_STEP(read_object(fields, "metadata", metadata));
    if (metadata == nullptr) return std::nullopt;
    if (metadata->size() > kMostMetadata) {
        return field_error("metadata", fmt::format("{} entries, expected at most {}",
                                                   metadata->size(), kMostMetadata));
    }
    const JsonFields inner(*metadata, "metadata.");
    for (const auto& entry : *metadata) {
        const std::string key(entry.key().data(), entry.key().size());
        if (key.size() > kMetadataKeyBytes) {
            return field_error("metadata", fmt::format("a key of {} bytes, expected at most {}",
                                                       key.size(), kMetadataKeyBytes));
        }
        std::optional<std::string_view> value;
        KVASIR_STEP(store(inner.string(key), value));
        if (!value || value->size() > kMetadataValueBytes) {
            return field_error(
                inner.param(key),
                fmt::format("expected a string of at most {} bytes", kMetadataValueBytes));
        }
        echo.metadata.emplace_back(key, *value);
    }
    return std::nullopt;
}

/// Only what there is nothing of anyway may be asked for.
Outcome check_include(const JsonFields& fields) {
    const json::value* value = fields.find("include");
    if (value == nullptr) return std::nullopt;
    if (!value->is_array()) {
        return field_error("include", fmt::format("{}, expected an array", json_kind_name(*value)));
    }
    for (const json::value& one : value->get_array()) {
        if (!one.is_string()) return field_error("include", "expected an array of strings");
        if (text_of(one) != "reasoning.encrypted_content")
            return unsupported("include", "nothing or \"reasoning.encrypted_content\"");
    }
    return std::nullopt;
}

/// What this door has not, and fields that change nothing here.
Outcome check_others(const JsonFields& fields, ResponsesRequest& read) {
    KVASIR_STEP(refuse_fields(
        fields, {"previous_response_id", "conversation", "background", "prompt", "max_tool_calls",
                 "top_logprobs", "context_management", "moderation"}));
    KVASIR_STEP(store(fields.boolean("store"), read.keeps_items));
    KVASIR_STEP(store(fields.boolean("parallel_tool_calls"), read.echo.parallel_tool_calls));
    for (const char* name : {"user", "safety_identifier", "prompt_cache_retention"}) {
        std::string_view ignored;
        KVASIR_STEP(store(fields.string(name), ignored));
    }
    return check_include(fields);
}

/// Fields of the other doors that would give an answer of another shape.
Outcome check_shape(const CompletionRequest& request) {
    if (request.n != 1) return unsupported("n", "1");
    if (request.return_tokens) return unsupported("return_tokens", "false");
    return std::nullopt;
}

Outcome read_truncation(const JsonFields& fields, ResponsesRequest& read) {
    KVASIR_STEP(check_word(fields, "truncation", {"auto", "disabled"}));
    std::string_view truncation;
    KVASIR_STEP(store(fields.string("truncation"), truncation));
    read.request.truncates = read.request.truncates || truncation == "auto";
    read.echo.truncates = read.request.truncates;
    return std::nullopt;
}

void repeat_tools(const JsonFields& fields, ResponseEcho& echo) {
    if (const json::value* tools = fields.find("tools")) echo.tools = json::serialize(*tools);
    if (const json::value* choice = fields.find("tool_choice"))
        echo.tool_choice = json::serialize(*choice);
}

Outcome read_responses(json::object& body, const HttpLimits& limits, const ModelInfo& model,
                       const FindItem& find_item, ResponsesRequest& read) {
    constexpr std::int64_t kMaxTokens = std::numeric_limits<std::uint32_t>::max();
    const JsonFields fields(body);
    CompletionRequest& request = read.request;
    Conversation said{.messages = {}, .template_variables = {}, .tool_shape = ToolShape::flat};
    KVASIR_STEP(read_responses_input(fields, chat_writer(model), find_item, said.messages));
    KVASIR_STEP(check_others(fields, read));
    KVASIR_STEP(read_reasoning(fields, said.template_variables, read.echo));
    repeat_tools(fields, read.echo);
    KVASIR_STEP(set_conversation(std::move(said), body, model, request));
    KVASIR_STEP(read_common(body, limits, model.n_vocab, request));
    KVASIR_STEP(check_shape(request));
    read.echo.priority = request.priority;
    KVASIR_STEP(store(fields.integer("max_output_tokens", 1, kMaxTokens), request.max_tokens));
    KVASIR_STEP(read_truncation(fields, read));
    KVASIR_STEP(read_text(fields, request, read.echo));
    KVASIR_STEP(apply_call_grammar(request));
    KVASIR_STEP(read_metadata(fields, read.echo));
    KVASIR_STEP(store(fields.string("instructions"), read.echo.instructions));
    KVASIR_STEP(store(fields.string("prompt_cache_key"), read.echo.prompt_cache_key));
    read.echo.max_output_tokens = request.max_tokens;
    read.echo.temperature = request.sampling.temperature;
    return store(fields.number("top_p", 0, 1), read.echo.top_p);
}

}  // namespace

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body, const HttpLimits& limits,
                                                    const ModelInfo& model,
                                                    const FindItem& find_item) {
    KVASIR_TRY(json::object object, parse_json_object(body, limits.json_depth));
    ResponsesRequest read;
    if (Outcome wrong = read_responses(object, limits, model, find_item, read))
        return std::move(*wrong);
    return read;
}

}  // namespace kvasir
