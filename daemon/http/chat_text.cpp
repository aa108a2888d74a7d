#include "daemon/http/chat_text.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <mutex>
#include <optional>

#include "config/base/log.hpp"
#include "daemon/http/chat_marks.hpp"
#include "daemon/http/prompt_limit.hpp"
#include "daemon/http/truncate_chat.hpp"
#include "daemon/model/tokenizer.hpp"
#include "daemon/template/chat_template.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

/// A model's template, parsed, and what its output must be guarded against.
struct ChatFormat {
    std::string source;
    std::optional<ChatTemplate> parsed;
    std::optional<Error> error;  // why it is not parsed
    std::vector<std::string> specials;
    bool takes_parts = false;          // content may be an array of parts
    bool takes_argument_text = false;  // a call's arguments may be JSON text, as OpenAI has them
};

/// Templates write a call's arguments with `tojson`, which quotes a text once more; or put text
/// there as it is, as the model wrote it. Tried out.
bool takes_argument_text(const ChatTemplate& parsed) {
    constexpr std::string_view kArguments = R"({"needle": "hay"})";
    const json::object call = {
        {"id", "call00000"},
        {"type", "function"},
        {"function", json::object{{"name", "sew"}, {"arguments", std::string(kArguments)}}}};
    const json::object user = {{"role", "user"}, {"content", "Sew."}};
    const json::object assistant = {
        {"role", "assistant"}, {"content", ""}, {"tool_calls", json::array{json::value(call)}}};
    const json::object variables = {
        {"messages", json::array{json::value(user), json::value(assistant)}},
        {"add_generation_prompt", false},
        {"bos_token", ""},
        {"eos_token", ""}};
    const auto text = parsed.render(variables);
    return text.has_value() && text->find(kArguments) != std::string::npos;
}

std::shared_ptr<const ChatFormat> make_format(const ModelInfo& model, const std::string& source) {
    auto format = std::make_shared<ChatFormat>();
    format->source = source;
    auto parsed = ChatTemplate::create(source);
    if (parsed.has_error()) {
        log_error("chat template", {{"model", model.id}, {"error", parsed.error().message}});
        format->error = std::move(parsed).error();
    } else {
        format->parsed = std::move(*parsed);
        format->takes_argument_text = takes_argument_text(*format->parsed);
    }
    for (const char* name : {"'text'", "\"text\"", ".text"})
        format->takes_parts |= format->source.find(name) != std::string::npos;
    const Tokenizer& tokenizer = *model.tokenizer;
    for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
        if (!tokenizer.token_bytes(id).empty()) continue;
        std::string text = tokenizer.token_bytes(id, true);
        if (!text.empty() && tokenizer.find_special(text)) format->specials.push_back(text);
    }
    return format;
}

/// Made at the first call for a model's template.
std::shared_ptr<const ChatFormat> find_format(const ModelInfo& model,
                                              const json::object& variables) {
    struct Made {
        std::weak_ptr<const Tokenizer> made_for;
        std::shared_ptr<const ChatFormat> format;
    };
    static std::mutex mutex;
    static std::array<Made, 2> all;  // without tools, with tools
    const bool with_tools = has_tools(variables);
    const std::string& source = model.template_for(with_tools);
    const std::lock_guard lock(mutex);
    Made& made = all[with_tools ? 1 : 0];
    if (made.made_for.lock() != model.tokenizer || !made.format || made.format->source != source)
        made = {model.tokenizer, make_format(model, source)};
    return made.format;
}

/// Templates of text-only models join content with strings: parts of text become one string.
void join_parts(json::object& variables) {
    for (json::value& message : variables.at("messages").as_array()) {
        json::value* content = message.get_object().if_contains("content");
        if (content == nullptr || !content->is_array()) continue;
        std::string text;
        for (const json::value& part : content->get_array()) {
            const json::value* piece = part.get_object().if_contains("text");
            if (piece != nullptr && piece->is_string()) text += std::string(piece->get_string());
        }
        *content = text;
    }
}

/// JSON text becomes the object it says. Text that says none stays.
void parse_arguments(json::object& variables) {
    for (json::value& message : variables.at("messages").as_array()) {
        json::value* calls = message.get_object().if_contains("tool_calls");
        if (calls == nullptr || !calls->is_array()) continue;
        for (json::value& call : calls->get_array()) {
            json::value* function =
                call.is_object() ? call.get_object().if_contains("function") : nullptr;
            json::value* arguments = function != nullptr && function->is_object()
                                         ? function->get_object().if_contains("arguments")
                                         : nullptr;
            if (arguments == nullptr || !arguments->is_string()) continue;
            boost::system::error_code failed;
            json::value parsed = json::parse(arguments->get_string(), failed);
            if (!failed && parsed.is_object()) *arguments = std::move(parsed);
        }
    }
}

ApiError template_error(const Error& error) {
    const std::string message = "chat template, " + error.message;
    if (error.code == ErrorCode::invalid_argument || error.code == ErrorCode::too_large)
        return {ErrorKind::invalid_request, message, "messages"};
    return {ErrorKind::unsupported_parameter, message, "messages"};
}

struct Rendered {
    std::string text;
    std::string marked;  // with marks where the client's text reads like special tokens; or empty
};

ApiResult<Rendered> render(const ModelInfo& model, const ChatFormat& format,
                           const json::object& given) {
    if (format.error) return template_error(*format.error);
    json::object variables = given;
    if (!format.takes_parts) join_parts(variables);
    if (!format.takes_argument_text) parse_arguments(variables);
    json::value marked = variables;
    const bool has_marks = mark_specials(marked, format.specials) > 0;
    const TemplateTime now = TemplateTime::local_now();
    for (json::object* each : {&variables, &marked.as_object()}) {
        (*each)["bos_token"] = model.bos_text;
        (*each)["eos_token"] = model.eos_text;
    }
    Rendered rendered;
    auto text = format.parsed->render(variables, now);
    if (text.has_error()) return template_error(text.error());
    rendered.text = std::move(*text);
    if (!has_marks) return rendered;
    auto guarded = format.parsed->render(marked.as_object(), now);
    if (guarded.has_error() || without_marks(*guarded) != rendered.text) {
        return ApiError{ErrorKind::invalid_request,
                        "messages: the text of a special token stands where the model's chat "
                        "template takes text apart; leave it out",
                        "messages"};
    }
    rendered.marked = std::move(*guarded);
    return rendered;
}

ApiResult<std::vector<TokenId>> encode_whole(const ModelInfo& model,
                                             const json::object& variables) {
    KVASIR_TRY(const Rendered rendered, render(model, *find_format(model, variables), variables));
    KVASIR_TRY_VOID(check_prompt_bytes(model, rendered.text.size(), "messages"));
    const Tokenizer& tokenizer = *model.tokenizer;
    std::vector<TokenId> ids;
    const std::string& text = rendered.marked.empty() ? rendered.text : rendered.marked;
    const std::vector<MarkedPiece> pieces =
        rendered.marked.empty() ? std::vector<MarkedPiece>{{text, false}} : split_at_marks(text);
    for (const MarkedPiece& piece : pieces) {
        const std::vector<TokenId> more = tokenizer.encode(
            piece.text, piece.is_plain ? Tokenizer::Special::ignore : Tokenizer::Special::parse);
        ids.insert(ids.end(), more.begin(), more.end());
    }
    if (tokenizer.add_bos() && tokenizer.bos() && (ids.empty() || ids.front() != *tokenizer.bos()))
        ids.insert(ids.begin(), *tokenizer.bos());
    if (ids.empty()) {
        return ApiError{ErrorKind::invalid_request, "messages: the chat template wrote nothing",
                        "messages"};
    }
    return ids;
}

ChatRole role_of(const json::object& message) {
    const json::value* role = message.if_contains("role");
    if (role == nullptr || !role->is_string()) return ChatRole::user;
    if (role->get_string() == "system" || role->get_string() == "developer")
        return ChatRole::system;
    return role->get_string() == "user" ? ChatRole::user : ChatRole::assistant;
}

/// What a message says, and about as much as templates write around it.
std::uint32_t size_of(const ModelInfo& model, const json::value& message) {
    constexpr std::size_t kAround = 8;
    const json::object& object = message.get_object();
    const json::value* content = object.if_contains("content");
    const std::string text = content != nullptr && content->is_string()
                                 ? std::string(content->get_string())
                                 : json::serialize(message);
    return static_cast<std::uint32_t>(
        model.tokenizer->encode(text, Tokenizer::Special::ignore).size() + kAround);
}

json::object without_messages(const json::object& variables, std::size_t n_leading,
                              std::size_t first) {
    json::object cut = variables;
    json::array& messages = cut.at("messages").as_array();
    messages.erase(messages.begin() + n_leading, messages.begin() + first);
    return cut;
}

ApiResult<std::vector<TokenId>> encode_truncated(const ModelInfo& model,
                                                 const json::object& variables) {
    const json::array& messages = variables.at("messages").as_array();
    std::vector<MessageSize> sizes;
    for (const json::value& message : messages)
        sizes.push_back({role_of(message.get_object()), size_of(model, message)});
    const std::size_t n_leading = count_leading(sizes);
    std::size_t first = first_kept_message(sizes, 0, model.context_length);
    while (true) {
        auto ids = encode_whole(model, without_messages(variables, n_leading, first));
        const bool fits = ids.has_value() && ids->size() < model.context_length;
        std::size_t next = first + 1;
        while (next < sizes.size() && sizes[next].role != ChatRole::user) ++next;
        const bool is_other_error =
            ids.has_error() && ids.error().kind != ErrorKind::context_length_exceeded;
        if (fits || is_other_error || next >= sizes.size()) return ids;
        first = next;
    }
}

}  // namespace

ChatWriter chat_writer(const ModelInfo& model) {
    return model.chat_template.empty() ? ChatWriter::chat_ml : ChatWriter::model_template;
}

bool has_tools(const json::object& variables) {
    const json::value* tools = variables.if_contains("tools");
    return tools != nullptr && tools->is_array() && !tools->get_array().empty();
}

ApiResult<std::string> render_with_template(const ModelInfo& model, const json::object& variables) {
    KVASIR_TRY(Rendered rendered, render(model, *find_format(model, variables), variables));
    return std::move(rendered.text);
}

ApiResult<std::vector<TokenId>> encode_with_template(const ModelInfo& model,
                                                     const json::object& variables,
                                                     bool truncates) {
    auto ids = encode_whole(model, variables);
    const bool is_too_long = ids.has_error()
                                 ? ids.error().kind == ErrorKind::context_length_exceeded
                                 : ids->size() >= model.context_length;
    return truncates && is_too_long ? encode_truncated(model, variables) : ids;
}

}  // namespace kvasir
