// ChatML: a conversation as token ids. Source: the ChatML format,
// `<|im_start|>role\ncontent<|im_end|>\n`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "daemon/http/completion_request.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

/// What follows the last message: the opening of the assistant's turn, or nothing: then more
/// messages may.
enum class ChatEnd { assistant_turn, open };

/// The markers are the vocabulary's special tokens;
/// what a content says is always plain text, so it cannot end its own turn or open another's.
/// Errors: unsupported (the vocabulary has no `<|im_start|>` or no `<|im_end|>`).
Result<std::vector<TokenId>> render_chat_ml(const Tokenizer& tokenizer,
                                            std::span<const ChatMessage> messages,
                                            ChatEnd end = ChatEnd::assistant_turn);

/// The same as text.
std::string chat_ml_text(std::span<const ChatMessage> messages,
                         ChatEnd end = ChatEnd::assistant_turn);

}  // namespace kvasir
