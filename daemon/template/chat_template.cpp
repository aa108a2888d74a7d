#include "daemon/template/chat_template.hpp"

#include <fmt/format.h>

#include "daemon/template/interpreter.hpp"
#include "daemon/template/parser.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir {

struct ChatTemplate::Parsed {
    TemplateLimits limits;
    jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::create(std::string_view source, TemplateOptions options) {
    if (source.size() > options.limits.source_bytes) {
        return Error{ErrorCode::too_large, fmt::format("template of {} bytes, at most {} allowed",
                                                       source.size(), options.limits.source_bytes)};
    }
    if (!jinja::is_utf8(source)) return Error{ErrorCode::corrupt, "template: not UTF-8"};
    KVASIR_TRY(std::vector<jinja::Token> tokens, jinja::tokenize_template(source));
    jinja::Parser parser(std::move(tokens), {options.generation_blocks});
    auto parsed = std::make_unique<Parsed>();
    parsed->limits = options.limits;
    KVASIR_TRY(parsed->body, parser.parse());
    return ChatTemplate(std::move(parsed));
}

Result<std::string> ChatTemplate::render(const boost::json::object& variables,
                                         const TemplateTime& now) const {
    jinja::Interpreter interpreter(parsed_->limits, now);
    return interpreter.render(parsed_->body, variables);
}

}  // namespace kvasir
