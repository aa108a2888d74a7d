// AnswerParser: what a model writes, parted into thoughts, text and function calls while it comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/call_scanner.hpp"

namespace kvasir {

/// How a model writes calls; its template shows which.
enum class CallSyntax {
    none,
    hermes,   // <tool_call>{"name": ..., "arguments": {...}}</tool_call>, also Qwen
    mistral,  // [TOOL_CALLS] and an array of the same, or name[ARGS]{...}
    object,   // the object alone, at the start; maybe after <|python_tag|>, as Llama 3 has it
};
CallSyntax find_call_syntax(std::string_view chat_template);
/// Whether its models think aloud, between <think> and </think>.
bool writes_thoughts(std::string_view chat_template);
/// Whether a rendered prompt leaves the model in the middle of its thoughts.
bool ends_in_thought(std::string_view prompt);

/// What such texts are marked with: special tokens in some vocabularies.
std::span<const std::string_view> answer_marks();

/// A part of an answer, or all of it.
struct AnswerPart {
    struct Call {
        std::uint32_t index = 0;
        std::string name;  // empty in all but the first part of a call
        std::string arguments;
    };
    std::string text;
    std::string thoughts;
    std::vector<Call> calls;  // of one index at most one after the other

    bool is_empty() const { return text.empty() && thoughts.empty() && calls.empty(); }
};

/// Whatever is no call of a declared function stays text, as the model wrote it.
class AnswerParser {
public:
    struct Options {
        CallSyntax syntax = CallSyntax::none;
        bool has_thoughts = false;
        bool begins_in_thought = false;
        std::set<std::string, std::less<>> functions;  // declared
        std::uint32_t n_most_calls = 128;
    };
    explicit AnswerParser(Options options);

    void push(std::string_view text, AnswerPart& out);
    /// The answer has ended: what was held back.
    void finish(AnswerPart& out);
    /// A call, or the beginning of one, went out.
    bool has_calls() const { return n_calls_ > 0 || is_given_; }

private:
    enum class Mode { start, thoughts, text, call, after_call };
    // Each takes from the front of pending_; false: more is needed to decide.
    bool step(AnswerPart& out, bool is_last);
    bool read_start(bool is_last);
    bool read_thoughts(AnswerPart& out, bool is_last);
    bool read_text(AnswerPart& out, bool is_last);
    bool read_call(AnswerPart& out);
    bool read_name(AnswerPart& out);
    bool read_after_call(bool is_last);

    void begin_call(std::size_t n_mark);
    void give_call(AnswerPart& out);
    void give_up_call(AnswerPart& out);
    void end_call();
    bool is_declared(std::string_view name) const {
        return options_.functions.find(name) != options_.functions.end();
    }

    Options options_;
    Mode mode_ = Mode::start;
    std::string pending_;       // not yet decided
    bool skips_space_ = false;  // what separates thoughts and calls from text is neither

    // The call that is read.
    CallScanner scanner_;
    std::string raw_;                   // as written, its mark included
    bool is_given_ = false;             // a part of it went out
    bool is_named_ = false;             // name[ARGS]{...}: the name is read
    bool ends_with_arguments_ = false;  // and then the arguments, which are all
    std::uint32_t n_calls_ = 0;
};

}  // namespace kvasir
