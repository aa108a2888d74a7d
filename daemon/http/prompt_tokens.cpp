#include "daemon/http/prompt_tokens.hpp"

#include "daemon/http/prompt_limit.hpp"

namespace kvasir {

namespace {

ApiResult<std::vector<TokenId>> encode_text(const ModelInfo& model, const std::string& text) {
    KVASIR_TRY_VOID(check_prompt_bytes(model, text.size(), "prompt"));
    const Tokenizer& tokenizer = *model.tokenizer;
    std::vector<TokenId> ids = tokenizer.encode(text, Tokenizer::Special::parse);
    if (tokenizer.add_bos() && tokenizer.bos() && (ids.empty() || ids.front() != *tokenizer.bos()))
        ids.insert(ids.begin(), *tokenizer.bos());
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "prompt: empty, expected at least one token",
                        "prompt"};
    }
    return ids;
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

ApiResult<std::vector<TokenId>> encode_chat(const ModelInfo& model,
                                            const std::vector<ChatMessage>& messages, ChatEnd end) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : messages) bytes += message.content.size();
    KVASIR_TRY_VOID(check_prompt_bytes(model, bytes, "messages"));
    Result<std::vector<TokenId>> ids = render_chat_ml(*model.tokenizer, messages, end);
    if (ids.has_error())
        return ApiError{ErrorKind::unsupported_parameter, ids.error().message, "messages"};
    return std::move(*ids);
}

}  // namespace kvasir
