#include "daemon/http/openai_writer.hpp"

#include <algorithm>
#include <utility>

#include "daemon/http/server_context.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

namespace {

/// Each call in one part.
AnswerPart join_calls(AnswerPart part) {
    std::vector<AnswerPart::Call> joined;
    for (AnswerPart::Call& call : part.calls) {
        if (!call.name.empty()) {
            joined.push_back(std::move(call));
        } else {
            joined.back().arguments += call.arguments;
        }
    }
    part.calls = std::move(joined);
    return part;
}

}  // namespace

void OpenAiWriter::begin(std::span<const GenerationRequest> requests) {
    text_offsets_.resize(requests.size());
    if (!parts_) return;
    constexpr std::size_t kLast = 8;  // tokens that a thought's mark and the space after it take
    for (const GenerationRequest& request : requests) {
        AnswerParser::Options options = *parts_;
        const std::span<const TokenId> prompt(request.prompt);
        options.begins_in_thought =
            ends_in_thought(tokenizer_->decode(prompt.last(std::min(kLast, prompt.size())), true));
        parsers_.emplace_back(std::move(options));
    }
}

ChoicePart OpenAiWriter::part_of(AnswerPart&& part) const {
    ChoicePart made;
    made.text = std::move(part.text);
    made.thoughts = std::move(part.thoughts);
    for (AnswerPart::Call& call : part.calls) {
        std::string id = call.name.empty() ? "" : make_id("call_");
        // Mistral's templates take ids of nine letters and digits only.
        constexpr std::size_t kMistralId = 9;
        if (!id.empty() && parts_->syntax == CallSyntax::mistral)
            id = id.substr(id.size() - kMistralId);
        made.calls.push_back(
            {call.index, std::move(id), std::move(call.name), std::move(call.arguments)});
    }
    return made;
}

void OpenAiWriter::append_rest(std::string& out, std::size_t choice) {
    if (parsers_.empty()) return;
    AnswerPart rest;
    parsers_[choice].finish(rest);
    if (rest.is_empty()) return;
    ChoicePart sent = part_of(std::move(rest));
    sent.text_offset = text_offsets_[choice];
    append_text_event(out, shape_, choice, sent);
}

const char* OpenAiWriter::reason_of(std::size_t choice, const GenerationEnd& end) const {
    return to_string(end.reason, !parsers_.empty() && parsers_[choice].has_calls());
}

std::string OpenAiWriter::echo_of(std::size_t choice) const {
    return echoes_.empty() ? std::string() : echoes_[choice / n_];
}

void OpenAiWriter::open(std::string& out) {
    for (std::size_t choice = 0; choice < text_offsets_.size(); ++choice) {
        if (shape_.is_chat) append_role_event(out, shape_, choice);
        const ChoicePart echo{echo_of(choice), {}, 0};
        if (echo.text.empty()) continue;
        append_text_event(out, shape_, choice, echo);
        text_offsets_[choice] = count_characters(echo.text);
    }
}

void OpenAiWriter::chunk(std::string& out, std::size_t choice, GenerationChunk chunk) {
    std::size_t& offset = text_offsets_[choice];
    ChoicePart sent;
    if (parsers_.empty()) {
        sent.text = std::move(chunk.text);
    } else {
        AnswerPart part;
        parsers_[choice].push(chunk.text, part);
        if (part.is_empty() && chunk.tokens.empty()) return;
        sent = part_of(std::move(part));
    }
    sent.tokens = std::move(chunk.tokens);
    sent.text_offset = offset;
    append_text_event(out, shape_, choice, sent);
    for (const GeneratedToken& token : sent.tokens) offset += count_characters(token.bytes);
}

void OpenAiWriter::end_choice(std::string& out, std::size_t choice, const GenerationEnd& end) {
    append_rest(out, choice);
    append_finish_event(out, shape_, choice, reason_of(choice, end), nullptr);
}

void OpenAiWriter::finish(std::string& out, std::size_t last_choice,
                          std::span<const GenerationEnd> ends) {
    const Usage usage = sum_usage(ends, n_);
    const bool usage_follows = shape_.include_usage;
    append_rest(out, last_choice);
    append_finish_event(out, shape_, last_choice, reason_of(last_choice, ends[last_choice]),
                        usage_follows ? nullptr : &usage);
    if (usage_follows) append_usage_event(out, shape_, usage);
    append_done_event(out);
}

void OpenAiWriter::keep_alive(std::string& out) {
    out += kEventComment;
}

void OpenAiWriter::fail(std::string& out, const ApiError& error) {
    append_event(out, error_json(error));
}

std::string OpenAiWriter::whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) {
    for (std::size_t choice = 0; choice < parts.size(); ++choice) {
        if (!parsers_.empty()) {
            AnswerPart whole;
            parsers_[choice].push(parts[choice].text, whole);
            parsers_[choice].finish(whole);
            ChoicePart made = part_of(join_calls(std::move(whole)));
            made.tokens = std::move(parts[choice].tokens);
            parts[choice] = std::move(made);
        }
        parts[choice].text.insert(0, echo_of(choice));
    }
    return whole_answer_json(shape_, parts, ends, sum_usage(ends, n_));
}

}  // namespace kvasir
