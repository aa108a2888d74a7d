// OpenAI's answers to completions and chats, whole and as stream events. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/engine/generation.hpp"

namespace kvasir {

class JsonWriter;

/// What every piece of one answer has in common.
struct AnswerShape {
    std::string id;
    std::uint64_t created = 0;
    std::string model;
    bool is_chat = false;
    bool logprobs = false;
    std::uint32_t n_top_logprobs = 0;
    bool return_tokens = false;
    bool include_usage = false;  // streams only; a whole answer always has it
};

/// A choice's output, or the part of it that one event carries.
struct ChoicePart {
    struct Call {
        std::uint32_t index = 0;
        std::string id;  // with the name: in a call's first part
        std::string name;
        std::string arguments;
    };
    std::string text;
    std::vector<GeneratedToken> tokens;
    std::size_t text_offset = 0;  // characters of the choice before this part
    std::string thoughts;
    std::vector<Call> calls;

    bool says_nothing() const { return text.empty() && thoughts.empty() && calls.empty(); }
};

struct Usage {
    std::uint64_t n_prompt_tokens = 0;
    std::uint64_t n_cached_tokens = 0;
    std::uint64_t n_generated_tokens = 0;
    double prompt_ms = 0;
    double generate_ms = 0;
    MissReason miss = MissReason::none;  // of the first prompt that missed
    std::uint32_t diverged_at = 0;
};

/// ends: [prompt][n]. A prompt counts once, whatever n is; times are the longest choice's.
Usage sum_usage(std::span<const GenerationEnd> ends, std::uint32_t n);

/// As `usage`. has_completion: something was to be generated.
void write_usage(JsonWriter& json, const Usage& usage, bool has_completion = true);

/// has_calls: the choice ended with calls of functions.
const char* to_string(FinishReason reason, bool has_calls = false);

/// Bytes that start a character.
std::size_t count_characters(std::string_view text);

/// parts and ends have one element a choice.
std::string whole_answer_json(const AnswerShape& shape, std::span<const ChoicePart> parts,
                              std::span<const GenerationEnd> ends, const Usage& usage);

// Each appends one `data: {...}\n\n`.
void append_role_event(std::string& out, const AnswerShape& shape, std::size_t choice);
void append_text_event(std::string& out, const AnswerShape& shape, std::size_t choice,
                       const ChoicePart& part);
/// usage where this is the last event: it then carries the timings.
void append_finish_event(std::string& out, const AnswerShape& shape, std::size_t choice,
                         const char* reason, const Usage* last);
void append_usage_event(std::string& out, const AnswerShape& shape, const Usage& usage);
void append_event(std::string& out, std::string_view json);
void append_done_event(std::string& out);

}  // namespace kvasir
