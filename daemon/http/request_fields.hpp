// What the readers of completions and chats share. Included by their .cpp files alone.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "daemon/http/completion_request.hpp"
#include "daemon/http/json_fields.hpp"

namespace kvasir {

using Outcome = std::optional<ApiError>;  // nullopt: fine

/// Reads into target where the field is present.
template <class Found, class Target>
Outcome store(ApiResult<std::optional<Found>> found, Target& target) {
    if (found.has_error()) return std::move(found).error();
    if (*found) target = static_cast<Target>(**found);
    return std::nullopt;
}

/// The first step that fails ends it.
#define KVASIR_STEP(expr) \
    if (Outcome outcome = (expr)) return outcome

inline std::string_view text_of(const boost::json::value& value) {
    return {value.get_string().data(), value.get_string().size()};
}

/// The name of a session, context or prefix: 1 to 128 bytes of UTF-8 without control characters.
Outcome check_name(std::string_view name, std::string_view param);
Outcome read_name(const JsonFields& fields, std::string_view param, std::string& name);
Outcome read_priority(const JsonFields& fields, Priority& priority);

/// The array under "messages".
Outcome read_messages(const JsonFields& fields, CompletionRequest& request);
/// Where the fields of a tool's or a choice's function are: in an object of their own, under
/// "function", or beside its type.
enum class ToolShape { nested, flat };
/// Moves what a model's template sees out of the body. add_generation_prompt: where none is given.
Outcome take_chat_variables(boost::json::object& body, bool add_generation_prompt,
                            CompletionRequest& request, ToolShape shape = ToolShape::nested);
/// The string or token ids under `name`, which stand for one prompt.
Outcome add_prompt(const boost::json::value& value, std::string_view param, std::uint32_t n_vocab,
                   CompletionRequest& request);

/// One prompt, as above, or an array of at most n_most of them.
Outcome read_prompts(const JsonFields& fields, std::string_view name, std::size_t n_most,
                     std::uint32_t n_vocab, CompletionRequest& request);

/// response_format, grammar, json_schema.
Outcome read_constraint(const JsonFields& fields, CompletionRequest& request);
/// tools, tool_choice, parallel_tool_calls.
Outcome read_tools(const JsonFields& fields, ToolShape shape, CompletionRequest& request);
/// From flat, checked ones to what templates know.
void nest_tools(boost::json::array& tools);
/// A forced call is what the answer must be. After everything else that says so.
Outcome apply_call_grammar(CompletionRequest& request);
/// Ollama's format: "json" or a schema.
Outcome read_ollama_format(const JsonFields& fields, CompletionRequest& request);
/// Responses' text.format: its type, and beside it name and schema.
Outcome read_text_format(const JsonFields& format, CompletionRequest& request);
/// One string under "stop" or several.
Outcome read_stop(const JsonFields& fields, const HttpLimits& limits, CompletionRequest& request);

/// The fields that both routes have.
Outcome read_common(const boost::json::object& body, const HttpLimits& limits,
                    std::uint32_t n_vocab, CompletionRequest& request);

}  // namespace kvasir
