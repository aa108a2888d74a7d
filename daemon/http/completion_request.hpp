// CompletionRequest: the body of POST /v1/completions and /v1/chat/completions, read and checked.
// Pure: no engine, no tokenizer.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/engine/generation.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/http_options.hpp"

namespace kvasir {

namespace grammar {
class Grammar;
}

enum class ChatRole { system, user, assistant };

struct ChatMessage {
    ChatRole role = ChatRole::user;
    std::string content;
};

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest {
    std::vector<Prompt> prompts;        // of a completion: at least one
    std::vector<ChatMessage> messages;  // of a chat: at least one
    std::vector<TokenId> before;        // of a chat: what was said before, as tokens
    /// What a model's own template gets to see, instead of `messages`: messages as sent, tools,
    /// add_generation_prompt, chat_template_kwargs.
    std::shared_ptr<const boost::json::object> chat_variables;
    bool is_chat = false;
    std::vector<std::string> functions;  // declared as tools that the model may call
    bool calls_in_parallel = true;
    /// Of an answer that must be a call; nullptr: it need not.
    std::shared_ptr<const grammar::Grammar> call_grammar;
    std::vector<TokenId> shown_specials;  // special tokens whose text is part of the answer's

    std::optional<std::uint32_t> max_tokens;  // absent in a chat: the rest of the context
    SamplingOptions sampling;                 // choice is set on submission
    std::vector<std::string> stop;
    std::uint32_t n = 1;
    bool echo = false;
    bool ignore_eos = false;
    std::shared_ptr<const grammar::Grammar> grammar;  // of the answer; none: free text
    bool return_tokens = false;
    bool logprobs = false;
    std::uint32_t n_top_logprobs = 0;
    bool stream = false;
    bool include_usage = false;
    std::string session;     // empty: none named in the body
    std::string context;     // empty: none
    std::string cache_salt;  // empty: none
    Priority priority = Priority::interactive;
    bool truncates = false;  // a chat's oldest turns go where it does not fit, or an input's end
    std::optional<Pooling> pooling;  // prompts are inputs to embed; nothing is generated
    bool slides = false;  // it goes on beyond the context, with attention sinks and a window

    std::size_t n_choices() const { return (is_chat ? 1 : prompts.size()) * n; }
};

/// Errors name the field. n_vocab bounds the ids in prompts and logit_bias.
ApiResult<CompletionRequest> parse_completion_request(std::string_view body,
                                                      const HttpLimits& limits,
                                                      std::uint32_t n_vocab);
/// Who writes a conversation down: this server as ChatML, which knows text and three roles only, or
/// the model's template, which says itself what it refuses.
enum class ChatWriter { chat_ml, model_template };
ApiResult<CompletionRequest> parse_chat_request(std::string_view body, const HttpLimits& limits,
                                                std::uint32_t n_vocab,
                                                ChatWriter writer = ChatWriter::chat_ml);

/// A JSON array of token ids. Errors name param.
ApiResult<std::vector<TokenId>> parse_token_ids(const boost::json::array& array,
                                                std::string_view param, std::uint32_t n_vocab);

}  // namespace kvasir
