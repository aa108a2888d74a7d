#include "daemon/http/answer_parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace kvasir {

namespace {

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kHermes = "<tool_call>";
constexpr std::string_view kHermesEnd = "</tool_call>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr std::string_view kMistralArguments = "[ARGS]";
constexpr std::string_view kObject = "<|python_tag|>";
constexpr std::string_view kSpace = " \t\r\n";

constexpr std::array kMarks = {kThink,   kThinkEnd,         kHermes, kHermesEnd,
                               kMistral, kMistralArguments, kObject};

std::string_view mark_of(CallSyntax syntax) {
    switch (syntax) {
        case CallSyntax::none: break;
        case CallSyntax::hermes: return kHermes;
        case CallSyntax::mistral: return kMistral;
        case CallSyntax::object: return kObject;
    }
    return {};
}

/// How much of the end of text may be the beginning of a mark.
std::size_t count_begun(std::string_view text, std::string_view mark) {
    if (mark.empty()) return 0;
    for (std::size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n)
        if (text.ends_with(mark.substr(0, n))) return n;
    return 0;
}

/// Without the space at its end.
std::size_t trimmed_size(std::string_view text) {
    const std::size_t last = text.find_last_not_of(kSpace);
    return last == text.npos ? 0 : last + 1;
}

bool may_begin_with(std::string_view text, std::string_view mark) {
    return mark.starts_with(text.substr(0, mark.size()));
}

}  // namespace

CallSyntax find_call_syntax(std::string_view chat_template) {
    const auto has = [&](std::string_view text) { return chat_template.find(text) != text.npos; };
    if (!has("tools")) return CallSyntax::none;
    if (has(kMistral)) return CallSyntax::mistral;
    // <function=name> and <arg_key> inside are other languages than JSON.
    if (has(kHermes) && !has("<function=") && !has("<arg_key>")) return CallSyntax::hermes;
    return CallSyntax::object;
}

std::span<const std::string_view> answer_marks() {
    return kMarks;
}

bool writes_thoughts(std::string_view chat_template) {
    return chat_template.find(kThinkEnd) != chat_template.npos;
}

bool ends_in_thought(std::string_view prompt) {
    const std::size_t last = prompt.find_last_not_of(kSpace);
    return last != prompt.npos && prompt.substr(0, last + 1).ends_with(kThink);
}

AnswerParser::AnswerParser(Options options) : options_(std::move(options)) {
    if (options_.functions.empty()) options_.syntax = CallSyntax::none;
    if (options_.has_thoughts && options_.begins_in_thought) {
        mode_ = Mode::thoughts;
        skips_space_ = true;
    }
}

void AnswerParser::push(std::string_view text, AnswerPart& out) {
    pending_ += text;
    while (step(out, false)) {
    }
}

void AnswerParser::finish(AnswerPart& out) {
    while (step(out, true)) {
    }
    if (mode_ == Mode::call && !is_given_) give_up_call(out);
    out.text += std::exchange(pending_, {});
}

bool AnswerParser::step(AnswerPart& out, bool is_last) {
    if (skips_space_) {
        const std::size_t n = std::min(pending_.find_first_not_of(kSpace), pending_.size());
        pending_.erase(0, n);
        if (!pending_.empty()) skips_space_ = false;
    }
    if (pending_.empty()) return false;
    switch (mode_) {
        case Mode::start: return read_start(is_last);
        case Mode::thoughts: return read_thoughts(out, is_last);
        case Mode::text: return read_text(out, is_last);
        case Mode::call: return is_named_ ? read_name(out) : read_call(out);
        case Mode::after_call: return read_after_call(is_last);
    }
    return false;
}

/// Before the first word of an answer or of what follows the thoughts.
bool AnswerParser::read_start(bool is_last) {
    const std::size_t begin = pending_.find_first_not_of(kSpace);
    if (begin == pending_.npos) return false;
    const std::string_view text = std::string_view(pending_).substr(begin);
    if (options_.has_thoughts && text.starts_with(kThink)) {
        pending_.erase(0, begin + kThink.size());
        mode_ = Mode::thoughts;
        skips_space_ = true;
        return true;
    }
    if (!is_last && options_.has_thoughts && may_begin_with(text, kThink)) return false;
    mode_ = Mode::text;
    if (options_.syntax == CallSyntax::object && text.front() == '{') {
        pending_.erase(0, begin);
        begin_call(0);
    }
    return true;
}

bool AnswerParser::read_thoughts(AnswerPart& out, bool is_last) {
    const std::size_t end = pending_.find(kThinkEnd);
    if (end != pending_.npos) {
        out.thoughts += pending_.substr(0, trimmed_size(pending_.substr(0, end)));
        pending_.erase(0, end + kThinkEnd.size());
        options_.has_thoughts = false;  // once
        mode_ = Mode::start;
        skips_space_ = true;
        return true;
    }
    // Space before the end belongs to neither.
    const std::size_t n_begun = count_begun(pending_, kThinkEnd);
    const std::size_t n =
        is_last ? pending_.size() : trimmed_size(pending_.substr(0, pending_.size() - n_begun));
    out.thoughts += pending_.substr(0, n);
    pending_.erase(0, n);
    return false;
}

bool AnswerParser::read_text(AnswerPart& out, bool is_last) {
    const std::string_view mark = n_calls_ < options_.n_most_calls ? mark_of(options_.syntax) : "";
    const std::size_t at = mark.empty() ? pending_.npos : pending_.find(mark);
    if (at != pending_.npos) {
        out.text += pending_.substr(0, trimmed_size(pending_.substr(0, at)));
        pending_.erase(0, at);
        begin_call(mark.size());
        return true;
    }
    std::size_t n = pending_.size();
    if (!is_last && !mark.empty())  // space before a call is not text
        n = trimmed_size(pending_.substr(0, n - count_begun(pending_, mark)));
    out.text += pending_.substr(0, n);
    pending_.erase(0, n);
    return false;
}

/// n_mark: bytes of pending_ that said that a call begins.
void AnswerParser::begin_call(std::size_t n_mark) {
    raw_ = pending_.substr(0, n_mark);
    pending_.erase(0, n_mark);
    scanner_ = {};
    is_given_ = false;
    is_named_ = false;
    ends_with_arguments_ = false;
    mode_ = Mode::call;
}

bool AnswerParser::read_call(AnswerPart& out) {
    std::size_t n = 0;
    while (n < pending_.size() && scanner_.state() == CallScanner::State::reading) {
        const char c = pending_[n];
        const bool is_mistral = options_.syntax == CallSyntax::mistral;
        const bool is_outside = scanner_.is_before();
        if (is_mistral && is_outside && c != '{') {
            // The array around the calls; or a name instead of it.
            const bool is_name = c != '[' && kSpace.find(c) == kSpace.npos;
            if (is_name) {
                raw_ += pending_.substr(0, n);
                pending_.erase(0, n);
                is_named_ = true;
                return true;
            }
        } else {
            scanner_.push(c);
            if (ends_with_arguments_ && scanner_.is_after_value()) scanner_.push('}');
        }
        ++n;
    }
    raw_ += pending_.substr(0, n);
    pending_.erase(0, n);
    const bool is_unknown = scanner_.has_name() && !is_declared(scanner_.name());
    if (!is_given_ && (is_unknown || scanner_.state() == CallScanner::State::broken)) {
        give_up_call(out);
        return true;
    }
    if (scanner_.has_name()) give_call(out);
    if (scanner_.state() == CallScanner::State::reading) return false;
    end_call();
    return true;
}

/// name[ARGS]{...}: the object is all arguments.
bool AnswerParser::read_name(AnswerPart& out) {
    const std::size_t at = pending_.find(kMistralArguments);
    const std::size_t brace = pending_.find('{');
    const std::size_t name_end = std::min(at, brace);
    constexpr std::size_t kMostName = 256;
    if (name_end == pending_.npos) {
        if (pending_.size() <= kMostName) return false;
        give_up_call(out);
        return true;
    }
    const std::string name = pending_.substr(0, name_end);
    const std::size_t begin = at < brace ? at + kMistralArguments.size() : brace;
    if (!is_declared(name)) {
        give_up_call(out);
        return true;
    }
    // The rest is read as the arguments of an object that has this name.
    for (const char c : R"({"name":")" + name + R"(","arguments":)") scanner_.push(c);
    raw_ += pending_.substr(0, begin);
    pending_.erase(0, begin);
    is_named_ = false;
    ends_with_arguments_ = true;
    return true;
}

void AnswerParser::give_call(AnswerPart& out) {
    AnswerPart::Call part{.index = n_calls_, .name = {}, .arguments = scanner_.take_arguments()};
    if (!is_given_) part.name = scanner_.name();
    is_given_ = true;
    if (!part.name.empty() || !part.arguments.empty()) out.calls.push_back(std::move(part));
}

void AnswerParser::give_up_call(AnswerPart& out) {
    out.text += std::exchange(raw_, {});
    mode_ = Mode::text;
}

void AnswerParser::end_call() {
    ++n_calls_;
    mode_ = Mode::after_call;
}

bool AnswerParser::read_after_call(bool is_last) {
    const std::size_t begin = pending_.find_first_not_of(kSpace);
    if (begin == pending_.npos) {
        pending_.clear();
        return false;
    }
    pending_.erase(0, begin);
    const bool has_more = n_calls_ < options_.n_most_calls;
    switch (options_.syntax) {
        case CallSyntax::hermes:
            if (!is_last && pending_.size() < kHermesEnd.size() &&
                may_begin_with(pending_, kHermesEnd))
                return false;
            if (pending_.starts_with(kHermesEnd)) pending_.erase(0, kHermesEnd.size());
            break;
        case CallSyntax::mistral:
            if (pending_.front() == ',' && has_more) {
                begin_call(1);
                return true;
            }
            if (pending_.front() == ']') pending_.erase(0, 1);
            break;
        case CallSyntax::object:
            if ((pending_.front() == ';' || pending_.front() == ',') && has_more) {
                begin_call(1);
                return true;
            }
            if (pending_.front() == '{' && has_more) {
                begin_call(0);
                return true;
            }
            break;
        case CallSyntax::none: break;
    }
    mode_ = Mode::text;
    skips_space_ = true;
    return true;
}

}  // namespace kvasir
