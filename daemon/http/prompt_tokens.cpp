#include "daemon/http/prompt_tokens.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "daemon/http/json_fields.hpp"
#include "daemon/http/prompt_limit.hpp"
#include "daemon/http/truncate_chat.hpp"

namespace kvasir {

namespace {

/// With the bos that the model wants before it.
std::vector<TokenId> tokens_of(const Tokenizer& tokenizer, const std::string& text) {
    std::vector<TokenId> ids = tokenizer.encode(text, Tokenizer::Special::parse);
    if (tokenizer.add_bos() && tokenizer.bos() && (ids.empty() || ids.front() != *tokenizer.bos()))
        ids.insert(ids.begin(), *tokenizer.bos());
    return ids;
}

ApiResult<std::vector<TokenId>> encode_text(const ModelInfo& model, const std::string& text) {
    KVASIR_TRY_VOID(check_prompt_bytes(model, text.size(), "prompt"));
    std::vector<TokenId> ids = tokens_of(*model.tokenizer, text);
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "prompt: empty, expected at least one token",
                        "prompt"};
    }
    return ids;
}

/// Messages render one by one, each the same wherever it stands.
std::vector<ChatMessage> truncated(const ModelInfo& model, const std::vector<ChatMessage>& messages,
                                   ChatEnd end) {
    const auto n_rendered = [&](std::span<const ChatMessage> some, ChatEnd some_end) {
        return static_cast<std::uint32_t>(render_chat_ml(*model.tokenizer, some, some_end)->size());
    };
    const std::uint32_t n_bos = n_rendered({}, ChatEnd::open);
    std::vector<MessageSize> sizes;
    for (const ChatMessage& message : messages)
        sizes.push_back({message.role, n_rendered({&message, 1}, ChatEnd::open) - n_bos});
    const std::size_t first = first_kept_message(sizes, n_rendered({}, end), model.context_length);
    std::vector<ChatMessage> kept = messages;
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(count_leading(sizes)),
               kept.begin() + static_cast<std::ptrdiff_t>(first));
    return kept;
}

}  // namespace

ApiResult<std::vector<TokenId>> encode_prompt(const ModelInfo& model, const Prompt& prompt) {
    if (const auto* text = std::get_if<std::string>(&prompt)) return encode_text(model, *text);
    const auto& ids = std::get<std::vector<TokenId>>(prompt);
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "prompt: empty, expected at least one token",
                        "prompt"};
    }
    return ids;
}

ApiResult<std::vector<TokenId>> encode_input(const ModelInfo& model, const Prompt& input,
                                             bool truncates, const std::string& param) {
    const auto* text = std::get_if<std::string>(&input);
    if (text != nullptr && !truncates)
        KVASIR_TRY_VOID(check_prompt_bytes(model, text->size(), param.c_str()));
    std::vector<TokenId> ids;
    std::optional<TokenId> end;
    if (text == nullptr) {
        ids = std::get<std::vector<TokenId>>(input);
    } else if (!text->empty()) {
        ids = tokens_of(*model.tokenizer, *text);
        end = model.tokenizer->text_end();
        if (!ids.empty() && end == ids.back()) ids.pop_back();
    }
    if (ids.empty()) return field_error(param, "empty, expected at least one token");
    const std::size_t n_most = model.context_length - (end ? 1 : 0);
    if (ids.size() > n_most && !truncates) {
        return ApiError{ErrorKind::context_length_exceeded,
                        fmt::format("{}: {} tokens, expected at most the context of {} tokens",
                                    param, ids.size() + (end ? 1 : 0), model.context_length),
                        param};
    }
    ids.resize(std::min(ids.size(), n_most));
    if (end) ids.push_back(*end);
    return ids;
}

ApiResult<std::vector<TokenId>> encode_chat(const ModelInfo& model,
                                            const std::vector<ChatMessage>& messages, ChatEnd end,
                                            bool truncates) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : messages) bytes += message.content.size();
    if (!truncates) KVASIR_TRY_VOID(check_prompt_bytes(model, bytes, "messages"));
    Result<std::vector<TokenId>> ids = render_chat_ml(*model.tokenizer, messages, end);
    if (ids.has_error())
        return ApiError{ErrorKind::unsupported_parameter, ids.error().message, "messages"};
    if (!truncates || ids->size() < model.context_length) return std::move(*ids);
    const std::vector<ChatMessage> kept = truncated(model, messages, end);
    if (kept.size() == messages.size()) return std::move(*ids);  // the engine says it is too long
    return encode_chat(model, kept, end);
}

}  // namespace kvasir
