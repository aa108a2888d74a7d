#include "daemon/kvasir/completion_stream.hpp"

#include <boost/json.hpp>
#include <utility>

namespace kvasir::client {
namespace json = boost::json;
namespace {

/// The value at a path of keys, or nullptr.
template <class... Keys>
const json::value* find(const json::value& value, std::string_view key, Keys... keys) {
    const json::object* object = value.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains(key);
    if constexpr (sizeof...(keys) == 0) {
        return found;
    } else {
        return found == nullptr ? nullptr : find(*found, keys...);
    }
}

template <class T>
void read_number(const json::value* value, std::optional<T>& out) {
    if (value == nullptr || !value->is_number()) return;
    json::error_code ec;
    const T number = value->to_number<T>(ec);
    if (!ec) out = number;
}

std::string_view as_text(const json::value* value) {
    if (value == nullptr || !value->is_string()) return {};
    return {value->get_string().data(), value->get_string().size()};
}

}  // namespace

std::string error_message(std::string_view body) {
    json::error_code ec;
    const json::value value = json::parse(json::string_view(body.data(), body.size()), ec);
    const json::value* error = ec ? nullptr : find(value, "error");
    if (error != nullptr && error->is_string()) return std::string(as_text(error));
    const std::string_view message = error == nullptr ? "" : as_text(find(*error, "message"));
    if (message.empty()) return std::string(body.substr(0, 1000));
    std::string text(message);
    const std::string_view code = as_text(find(*error, "code"));
    if (!code.empty()) text.append(" (").append(code).append(")");
    return text;
}

Result<void> CompletionStream::push(std::string_view bytes, Pieces& pieces) {
    std::vector<SseParser::Event> events;
    auto status = parser_.push(bytes, events);
    for (const SseParser::Event& event : events) {
        if (is_done_) break;
        if (event.data == "[DONE]") {
            is_done_ = true;
        } else {
            KVASIR_TRY_VOID(take_chunk(event.data, pieces));
        }
    }
    return status;
}

Result<void> CompletionStream::take_chunk(const std::string& data, Pieces& pieces) {
    json::error_code ec;
    const json::value chunk = json::parse(data, ec);
    if (ec || !chunk.is_object()) {
        return Error{ErrorCode::corrupt, "event stream: found " + data.substr(0, 80) +
                                             ", expected a JSON object or [DONE]"};
    }
    if (chunk.get_object().contains("error")) return Error{ErrorCode::io, error_message(data)};
    const json::value* choices = find(chunk, "choices");
    if (choices != nullptr && choices->is_array() && !choices->get_array().empty()) {
        const json::value& choice = choices->get_array().front();
        pieces.text.append(as_text(find(choice, "text")));
        pieces.text.append(as_text(find(choice, "delta", "content")));
        pieces.thoughts.append(as_text(find(choice, "delta", "reasoning_content")));
        const std::string_view reason = as_text(find(choice, "finish_reason"));
        if (!reason.empty()) stats_.finish_reason = reason;
    }
    read_number(find(chunk, "usage", "prompt_tokens"), stats_.n_prompt_tokens);
    read_number(find(chunk, "usage", "prompt_tokens_details", "cached_tokens"),
                stats_.n_cached_tokens);
    read_number(find(chunk, "usage", "completion_tokens"), stats_.n_generated_tokens);
    read_number(find(chunk, "timings", "predicted_per_second"), stats_.generate_tokens_per_second);
    return {};
}

}  // namespace kvasir::client
