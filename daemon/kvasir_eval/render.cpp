// kvasir-eval render: a conversation as the text that a chat template makes of it.
#include <boost/json.hpp>
#include <fmt/format.h>

#include "daemon/kvasir_eval/session.hpp"
#include "daemon/template/chat_template.hpp"

namespace kvasir::eval {

namespace {

/// Exit status 2 is for wrong usage: what a template or conversation does wrong is a failure.
Error failure(const std::string& path, const Error& error) {
    return {error.code == ErrorCode::invalid_argument ? ErrorCode::corrupt : error.code,
            fmt::format("{}: {}", path, error.message)};
}

}  // namespace

Result<> run_render(const Arguments& arguments) {
    options::options_description known("options");
    known.add_options()("template", options::value<std::string>()->required(),
                        "Jinja chat template")(
        "conversation", options::value<std::string>()->required(),
        "JSON object: messages, tools, add_generation_prompt")(
        "bos", options::value<std::string>()->default_value(""), "bos_token")(
        "eos", options::value<std::string>()->default_value(""), "eos_token")(
        "now", options::value<std::string>(), "local time of strftime_now, as ISO 8601")(
        "generation-blocks", options::bool_switch(),
        "accept {% generation %}, which plain Jinja2 refuses");
    KVASIR_TRY(const auto given, parse(known, arguments));
    auto now = TemplateTime::local_now();
    if (given.count("now") != 0) {
        KVASIR_TRY(now, TemplateTime::parse(given["now"].as<std::string>()));
    }
    const auto template_path = given["template"].as<std::string>();
    KVASIR_TRY(const std::string source, read_text_file(template_path));
    const auto path = given["conversation"].as<std::string>();
    KVASIR_TRY(const std::string text, read_text_file(path));
    boost::system::error_code failed;
    boost::json::value conversation = boost::json::parse(text, failed);
    if (failed || !conversation.is_object())
        return Error{ErrorCode::corrupt, fmt::format("{}: expected a JSON object", path)};
    boost::json::object& variables = conversation.get_object();
    variables["bos_token"] = given["bos"].as<std::string>();
    variables["eos_token"] = given["eos"].as<std::string>();
    TemplateOptions template_options;
    template_options.generation_blocks = given["generation-blocks"].as<bool>();
    const auto chat = ChatTemplate::create(source, template_options);
    if (chat.has_error()) return failure(template_path, chat.error());
    const auto rendered = chat->render(variables, now);
    if (rendered.has_error()) return failure(template_path, rendered.error());
    std::fwrite(rendered->data(), 1, rendered->size(), stdout);
    return {};
}

}  // namespace kvasir::eval
