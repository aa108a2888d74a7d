#include "daemon/http/completion_response.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iterator>

#include "daemon/http/json_writer.hpp"

namespace kvasir {

namespace {

constexpr float kLeastLogprob = -9999.0F;  // JSON has no infinity; OpenAI writes this

float finite_logprob(float logprob) {
    return std::isfinite(logprob) ? std::max(logprob, kLeastLogprob) : kLeastLogprob;
}

/// The token as text; as escaped bytes where it is only a part of a character, as OpenAI has it.
std::string token_text(const std::string& bytes, std::string_view prefix) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
        const std::size_t length = utf8_character_length(rest);
        if (length == 0) break;
        rest.remove_prefix(length);
    }
    if (rest.empty()) return bytes;
    std::string escaped(prefix);
    for (const char byte : bytes)
        fmt::format_to(std::back_inserter(escaped), "\\x{:02x}", static_cast<unsigned char>(byte));
    return escaped;
}

void write_chat_token(JsonWriter& json, const std::string& bytes, float logprob) {
    json.field("token", token_text(bytes, ""));
    json.key("logprob").number(finite_logprob(logprob));
    json.key("bytes").begin_array();
    for (const char byte : bytes)
        json.number(static_cast<std::uint64_t>(static_cast<unsigned char>(byte)));
    json.end_array();
}

void write_chat_logprobs(JsonWriter& json, const std::vector<GeneratedToken>& tokens) {
    json.begin_object().key("content").begin_array();
    for (const GeneratedToken& token : tokens) {
        json.begin_object();
        write_chat_token(json, token.bytes, token.logprob);
        json.key("top_logprobs").begin_array();
        for (const TokenLogprob& top : token.top) {
            json.begin_object();
            write_chat_token(json, top.bytes, top.logprob);
            json.end_object();
        }
        json.end_array().end_object();
    }
    json.end_array().key("refusal").null().end_object();
}

void write_top_of(JsonWriter& json, const GeneratedToken& token) {
    json.begin_object();
    bool has_chosen = false;
    for (const TokenLogprob& top : token.top) {
        has_chosen = has_chosen || top.id == token.id;
        json.key(token_text(top.bytes, "bytes:")).number(finite_logprob(top.logprob));
    }
    if (!has_chosen)
        json.key(token_text(token.bytes, "bytes:")).number(finite_logprob(token.logprob));
    json.end_object();
}

void write_completion_logprobs(JsonWriter& json, const AnswerShape& shape, const ChoicePart& part) {
    json.begin_object().key("tokens").begin_array();
    for (const GeneratedToken& token : part.tokens) json.string(token_text(token.bytes, "bytes:"));
    json.end_array().key("token_logprobs").begin_array();
    for (const GeneratedToken& token : part.tokens) json.number(finite_logprob(token.logprob));
    json.end_array().key("top_logprobs");
    if (shape.n_top_logprobs == 0) {
        json.null();
    } else {
        json.begin_array();
        for (const GeneratedToken& token : part.tokens) write_top_of(json, token);
        json.end_array();
    }
    json.key("text_offset").begin_array();
    std::size_t offset = part.text_offset;
    for (const GeneratedToken& token : part.tokens) {
        json.number(static_cast<std::uint64_t>(offset));
        offset += count_characters(token.bytes);
    }
    json.end_array().end_object();
}

void write_logprobs(JsonWriter& json, const AnswerShape& shape, const ChoicePart& part) {
    json.key("logprobs");
    if (!shape.logprobs) {
        json.null();
    } else if (shape.is_chat) {
        write_chat_logprobs(json, part.tokens);
    } else {
        write_completion_logprobs(json, shape, part);
    }
}

void write_tokens(JsonWriter& json, const std::vector<GeneratedToken>& tokens) {
    json.key("tokens").begin_array();
    for (const GeneratedToken& token : tokens) json.number(static_cast<std::uint64_t>(token.id));
    json.end_array();
}

void write_head(JsonWriter& json, const AnswerShape& shape, const char* object) {
    json.begin_object();
    json.field("id", shape.id).field("object", object).field("created", shape.created);
    json.field("model", shape.model);
}

const char* stream_object(const AnswerShape& shape) {
    return shape.is_chat ? "chat.completion.chunk" : "text_completion";
}

const char* miss_name(MissReason miss) {
    switch (miss) {
        case MissReason::none: return "none";
        case MissReason::never_seen: return "never_seen";
        case MissReason::expired: return "expired";
        case MissReason::evicted: return "evicted";
        case MissReason::retokenized: return "retokenized";
        case MissReason::template_: return "template";
        case MissReason::diverged: return "diverged";
    }
    return "none";
}

bool has_divergence(MissReason miss) {
    return miss == MissReason::retokenized || miss == MissReason::template_ ||
           miss == MissReason::diverged;
}

}  // namespace

void write_usage(JsonWriter& json, const Usage& usage, bool has_completion) {
    json.key("usage").begin_object();
    json.field("prompt_tokens", usage.n_prompt_tokens);
    if (has_completion) json.field("completion_tokens", usage.n_generated_tokens);
    json.field("total_tokens", usage.n_prompt_tokens + usage.n_generated_tokens);
    json.key("prompt_tokens_details").begin_object();
    json.field("cached_tokens", usage.n_cached_tokens);
    if (usage.miss != MissReason::none) json.field("miss_reason", miss_name(usage.miss));
    if (has_divergence(usage.miss))
        json.field("diverged_at", static_cast<std::uint64_t>(usage.diverged_at));
    json.end_object().end_object();
}

namespace {

double per_second(std::uint64_t n, double ms) {
    return ms > 0 ? static_cast<double>(n) * 1000.0 / ms : 0.0;
}

void write_timings(JsonWriter& json, const Usage& usage) {
    const std::uint64_t n_computed =
        usage.n_prompt_tokens - std::min(usage.n_prompt_tokens, usage.n_cached_tokens);
    json.key("timings").begin_object();
    json.field("cache_n", usage.n_cached_tokens);
    json.field("prompt_n", n_computed).field("prompt_ms", usage.prompt_ms);
    json.field("prompt_per_second", per_second(n_computed, usage.prompt_ms));
    json.field("predicted_n", usage.n_generated_tokens).field("predicted_ms", usage.generate_ms);
    json.field("predicted_per_second", per_second(usage.n_generated_tokens, usage.generate_ms));
    json.end_object();
}

/// The start of an event up to and with `"choices":[{"index":i`.
void write_event_choice(JsonWriter& json, const AnswerShape& shape, std::size_t choice) {
    write_head(json, shape, stream_object(shape));
    json.key("choices").begin_array().begin_object();
    json.field("index", static_cast<std::uint64_t>(choice));
}

void write_finish(JsonWriter& json, const char* reason) {
    json.key("finish_reason");
    reason == nullptr ? json.null() : json.string(reason);
}

/// Closes the choice. usage is null in every event but the last, where it is asked for at all.
void write_event_end(JsonWriter& json, const AnswerShape& shape) {
    json.end_object().end_array();
    if (shape.include_usage) json.key("usage").null();
}

void write_call(JsonWriter& json, const ChoicePart::Call& call) {
    if (!call.id.empty()) json.field("id", call.id).field("type", "function");
    json.key("function").begin_object();
    if (!call.name.empty()) json.field("name", call.name);
    json.field("arguments", call.arguments).end_object();
}

void write_message(JsonWriter& json, const ChoicePart& part) {
    json.key("content");
    part.text.empty() && !part.calls.empty() ? json.null() : json.string(part.text);
    if (!part.thoughts.empty()) json.field("reasoning_content", part.thoughts);
    if (part.calls.empty()) return;
    json.key("tool_calls").begin_array();
    for (const ChoicePart::Call& call : part.calls) {
        json.begin_object();
        write_call(json, call);
        json.end_object();
    }
    json.end_array();
}

void write_delta(JsonWriter& json, const ChoicePart& part) {
    const bool has_other = !part.thoughts.empty() || !part.calls.empty();
    if (!part.text.empty() || !has_other) json.field("content", part.text);
    if (!part.thoughts.empty()) json.field("reasoning_content", part.thoughts);
    if (part.calls.empty()) return;
    json.key("tool_calls").begin_array();
    for (const ChoicePart::Call& call : part.calls) {
        json.begin_object().field("index", static_cast<std::uint64_t>(call.index));
        write_call(json, call);
        json.end_object();
    }
    json.end_array();
}

}  // namespace

Usage sum_usage(std::span<const GenerationEnd> ends, std::uint32_t n) {
    Usage usage;
    for (std::size_t i = 0; i < ends.size(); ++i) {
        if (n != 0 && i % n == 0) {
            usage.n_prompt_tokens += ends[i].n_prompt_tokens;
            usage.n_cached_tokens += ends[i].n_cached_tokens;
            if (usage.miss == MissReason::none) {
                usage.miss = ends[i].miss;
                usage.diverged_at = ends[i].diverged_at;
            }
        }
        usage.n_generated_tokens += ends[i].n_generated_tokens;
        usage.prompt_ms = std::max(usage.prompt_ms, ends[i].prompt_ms);
        usage.generate_ms = std::max(usage.generate_ms, ends[i].generate_ms);
    }
    return usage;
}

const char* to_string(FinishReason reason, bool has_calls) {
    switch (reason) {
        case FinishReason::stop: return has_calls ? "tool_calls" : "stop";
        case FinishReason::length: return "length";
        case FinishReason::cancelled: return "cancelled";
        case FinishReason::error: return "error";
    }
    return "error";
}

std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
    }));
}

std::string whole_answer_json(const AnswerShape& shape, std::span<const ChoicePart> parts,
                              std::span<const GenerationEnd> ends, const Usage& usage) {
    std::string out;
    JsonWriter json(out);
    write_head(json, shape, shape.is_chat ? "chat.completion" : "text_completion");
    json.key("choices").begin_array();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        json.begin_object().field("index", static_cast<std::uint64_t>(i));
        if (shape.is_chat) {
            json.key("message").begin_object().field("role", "assistant");
            write_message(json, parts[i]);
            json.key("refusal").null().end_object();
        } else {
            json.field("text", parts[i].text);
        }
        write_logprobs(json, shape, parts[i]);
        if (shape.return_tokens) write_tokens(json, parts[i].tokens);
        write_finish(json, to_string(ends[i].reason, !parts[i].calls.empty()));
        json.end_object();
    }
    json.end_array();
    write_usage(json, usage);
    write_timings(json, usage);
    json.end_object();
    return out;
}

void append_event(std::string& out, std::string_view json) {
    out += "data: ";
    out += json;
    out += "\n\n";
}

void append_done_event(std::string& out) {
    append_event(out, "[DONE]");
}

void append_role_event(std::string& out, const AnswerShape& shape, std::size_t choice) {
    std::string event;
    JsonWriter json(event);
    write_event_choice(json, shape, choice);
    json.key("delta").begin_object().field("role", "assistant").field("content", "").end_object();
    json.key("logprobs").null();
    write_finish(json, nullptr);
    write_event_end(json, shape);
    json.end_object();
    append_event(out, event);
}

void append_text_event(std::string& out, const AnswerShape& shape, std::size_t choice,
                       const ChoicePart& part) {
    std::string event;
    JsonWriter json(event);
    write_event_choice(json, shape, choice);
    if (shape.is_chat) {
        json.key("delta").begin_object();
        write_delta(json, part);
        json.end_object();
    } else {
        json.field("text", part.text);
    }
    write_logprobs(json, shape, part);
    if (shape.return_tokens) write_tokens(json, part.tokens);
    write_finish(json, nullptr);
    write_event_end(json, shape);
    json.end_object();
    append_event(out, event);
}

void append_finish_event(std::string& out, const AnswerShape& shape, std::size_t choice,
                         const char* reason, const Usage* last) {
    std::string event;
    JsonWriter json(event);
    write_event_choice(json, shape, choice);
    if (shape.is_chat) {
        json.key("delta").begin_object().end_object();
    } else {
        json.field("text", "");
    }
    json.key("logprobs").null();
    write_finish(json, reason);
    write_event_end(json, shape);
    if (last != nullptr) write_timings(json, *last);
    json.end_object();
    append_event(out, event);
}

void append_usage_event(std::string& out, const AnswerShape& shape, const Usage& usage) {
    std::string event;
    JsonWriter json(event);
    write_head(json, shape, stream_object(shape));
    json.key("choices").begin_array().end_array();
    write_usage(json, usage);
    write_timings(json, usage);
    json.end_object();
    append_event(out, event);
}

}  // namespace kvasir
