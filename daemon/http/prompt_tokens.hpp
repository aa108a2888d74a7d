// What a caller gives as a prompt, as token ids.
#pragma once

#include <vector>

#include "daemon/http/chat_ml.hpp"
#include "daemon/http/completion_request.hpp"

namespace kvasir {

/// Errors: blame prompt; longer than the context could hold, or empty.
ApiResult<std::vector<TokenId>> encode_prompt(const ModelInfo& model, const Prompt& prompt);
/// A text to embed is complete: it gets the ends that the model wants of one. truncates: what is
/// beyond the context goes. Errors: blame param; as above.
ApiResult<std::vector<TokenId>> encode_input(const ModelInfo& model, const Prompt& input,
                                             bool truncates, const std::string& param);
/// truncates: the oldest turns go where the conversation does not fit. Errors: blame messages.
ApiResult<std::vector<TokenId>> encode_chat(const ModelInfo& model,
                                            const std::vector<ChatMessage>& messages, ChatEnd end,
                                            bool truncates = false);

}  // namespace kvasir
