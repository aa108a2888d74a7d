#include "daemon/http/answer_parts.hpp"

#include <algorithm>
#include <utility>

#include "daemon/http/chat_text.hpp"
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

AnswerParts AnswerParts::create(CompletionRequest& request, const ModelInfo& model) {
    AnswerParts made;
    if (!request.chat_variables) return made;
    const std::string& source = model.template_for(has_tools(*request.chat_variables));
    AnswerParser::Options options{
        // A forced call is an object alone.
        .syntax = request.call_grammar ? CallSyntax::object : find_call_syntax(source),
        .has_thoughts = !request.grammar && writes_thoughts(source),
        .functions = {request.functions.begin(), request.functions.end()}};
    if (!request.calls_in_parallel) options.n_most_calls = 1;
    if (options.functions.empty() && !options.has_thoughts) return made;
    for (const std::string_view mark : answer_marks())
        if (const auto id = model.tokenizer->find_special(mark))
            request.shown_specials.push_back(*id);
    made.options_ = std::move(options);
    made.tokenizer_ = model.tokenizer;
    return made;
}

void AnswerParts::begin(std::span<const GenerationRequest> requests) {
    if (!options_) return;
    constexpr std::size_t kLast = 8;  // tokens that a thought's mark and the space after it take
    for (const GenerationRequest& request : requests) {
        AnswerParser::Options options = *options_;
        const std::span<const TokenId> prompt(request.prompt);
        options.begins_in_thought =
            ends_in_thought(tokenizer_->decode(prompt.last(std::min(kLast, prompt.size())), true));
        parsers_.emplace_back(std::move(options));
    }
}

ChoicePart AnswerParts::with_ids(AnswerPart part) const {
    ChoicePart made;
    made.text = std::move(part.text);
    made.thoughts = std::move(part.thoughts);
    for (AnswerPart::Call& call : part.calls) {
        std::string id = call.name.empty() ? "" : make_id("call_");
        // Mistral's templates take ids of nine letters and digits only.
        constexpr std::size_t kMistralId = 9;
        if (!id.empty() && options_->syntax == CallSyntax::mistral)
            id = id.substr(id.size() - kMistralId);
        made.calls.push_back(
            {call.index, std::move(id), std::move(call.name), std::move(call.arguments)});
    }
    return made;
}

ChoicePart AnswerParts::push(std::size_t choice, std::string text) {
    AnswerPart part;
    if (parsers_.empty()) {
        part.text = std::move(text);
    } else {
        parsers_[choice].push(text, part);
    }
    return with_ids(std::move(part));
}

ChoicePart AnswerParts::finish(std::size_t choice) {
    AnswerPart rest;
    if (!parsers_.empty()) parsers_[choice].finish(rest);
    return with_ids(std::move(rest));
}

ChoicePart AnswerParts::whole(std::size_t choice, std::string text) {
    AnswerPart part;
    if (parsers_.empty()) {
        part.text = std::move(text);
    } else {
        parsers_[choice].push(text, part);
        parsers_[choice].finish(part);
    }
    return with_ids(join_calls(std::move(part)));
}

bool AnswerParts::has_calls(std::size_t choice) const {
    return !parsers_.empty() && parsers_[choice].has_calls();
}

std::uint64_t AnswerParts::count_tokens(std::string_view text) const {
    return tokenizer_ ? tokenizer_->encode(text, Tokenizer::Special::ignore).size() : 0;
}

}  // namespace kvasir
