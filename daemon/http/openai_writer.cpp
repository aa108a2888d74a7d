#include "daemon/http/openai_writer.hpp"

#include <utility>

namespace kvasir {

void OpenAiWriter::begin(std::span<const GenerationRequest> requests) {
    text_offsets_.resize(requests.size());
    parts_.begin(requests);
}

void OpenAiWriter::append_rest(std::string& out, std::size_t choice) {
    ChoicePart rest = parts_.finish(choice);
    if (rest.says_nothing()) return;
    rest.text_offset = text_offsets_[choice];
    append_text_event(out, shape_, choice, rest);
}

const char* OpenAiWriter::reason_of(std::size_t choice, const GenerationEnd& end) const {
    return to_string(end.reason, parts_.has_calls(choice));
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
    ChoicePart sent = parts_.push(choice, std::move(chunk.text));
    if (sent.says_nothing() && chunk.tokens.empty()) return;
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
        ChoicePart made = parts_.whole(choice, std::move(parts[choice].text));
        made.tokens = std::move(parts[choice].tokens);
        parts[choice] = std::move(made);
        parts[choice].text.insert(0, echo_of(choice));
    }
    return whole_answer_json(shape_, parts, ends, sum_usage(ends, n_));
}

}  // namespace kvasir
