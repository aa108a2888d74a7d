#include "daemon/http/chat_ml.hpp"

#include <string>
#include <string_view>

namespace kvasir {

namespace {

const char* role_name(ChatRole role) {
    switch (role) {
        case ChatRole::system: return "system";
        case ChatRole::user: return "user";
        case ChatRole::assistant: return "assistant";
    }
    return "user";
}

void append_plain(std::vector<TokenId>& ids, const Tokenizer& tokenizer, std::string_view text) {
    const std::vector<TokenId> more = tokenizer.encode(text, Tokenizer::Special::ignore);
    ids.insert(ids.end(), more.begin(), more.end());
}

}  // namespace

Result<std::vector<TokenId>> render_chat_ml(const Tokenizer& tokenizer,
                                            std::span<const ChatMessage> messages,
                                            ChatEnd chat_end) {
    const std::optional<TokenId> start = tokenizer.find_special("<|im_start|>");
    const std::optional<TokenId> end = tokenizer.find_special("<|im_end|>");
    if (!start || !end) {
        return Error{ErrorCode::unsupported,
                     "chat: the model's vocabulary has no <|im_start|> and <|im_end|>; use "
                     "/v1/completions"};
    }
    std::vector<TokenId> ids;
    if (tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
    for (const ChatMessage& message : messages) {
        ids.push_back(*start);
        append_plain(ids, tokenizer, std::string(role_name(message.role)) + "\n" + message.content);
        ids.push_back(*end);
        append_plain(ids, tokenizer, "\n");
    }
    if (chat_end == ChatEnd::open) return ids;
    ids.push_back(*start);
    append_plain(ids, tokenizer, "assistant\n");
    return ids;
}

std::string chat_ml_text(std::span<const ChatMessage> messages, ChatEnd chat_end) {
    std::string text;
    for (const ChatMessage& message : messages) {
        text += std::string("<|im_start|>") + role_name(message.role) + "\n" + message.content +
                "<|im_end|>\n";
    }
    if (chat_end == ChatEnd::assistant_turn) text += "<|im_start|>assistant\n";
    return text;
}

}  // namespace kvasir
