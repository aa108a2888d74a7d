// kvasir health, models, metrics, tokenize: one question, one answer.
#include <boost/json.hpp>
#include <fmt/format.h>
#include <utility>

#include "daemon/kvasir/answer_fields.hpp"
#include "daemon/kvasir/commands.hpp"
#include "daemon/kvasir/top_report.hpp"

namespace kvasir::client {
namespace json = boost::json;
namespace {

/// Prints the body as it came, or what `describe` makes of the JSON in it.
template <class Describe>
ExitCode answer(Context& context, const HttpRequest& request, const Describe& describe) {
    const CallResult result = call(context, request);
    if (result.code != ExitCode::ok) {
        // With --json, scripts get the error object as well as the exit code.
        if (context.options.json && !result.body.empty())
            (void)context.out.write(result.body + "\n");
        return result.code;
    }
    std::string text = result.body;
    if (!context.options.json) {
        json::error_code ec;
        const json::value value = json::parse(result.body, ec);
        if (ec || !value.is_object()) {
            print_error(context,
                        "the server's answer is no JSON object: " + result.body.substr(0, 80));
            return ExitCode::failed;
        }
        text = describe(value.get_object());
    }
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    (void)context.out.write(text);
    return output_status(context);
}

std::string plain(const json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string describe_fields(const json::object& object) {
    std::string text;
    for (const auto& [key, value] : object) {
        text.append(key.data(), key.size()).append(": ").append(plain(value)).append("\n");
    }
    return text;
}

/// Whatever a name holds, a line stays a line.
std::string one_line(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return text;
}

std::string word(const json::object& object, const char* key) {
    const json::value* value = find_field(object, key);
    return value == nullptr ? std::string() : one_line(plain(*value));
}

/// A name a line.
std::string describe_names(const json::object& object) {
    std::string text;
    for (const json::object* one : listed(object))
        if (find_field(*one, "id") != nullptr) text += word(*one, "id") + "\n";
    return text;
}

std::string describe_tokens(const json::object& object) {
    std::string text;
    const json::value* tokens = object.if_contains("tokens");
    if (tokens == nullptr || !tokens->is_array()) return text;
    for (const json::value& token : tokens->get_array()) {
        if (!text.empty()) text += ' ';
        text += plain(token);
    }
    return text;
}

/// The text of the command line, or standard input. nullopt: there is none, and code says why.
std::optional<std::string> text_or_input(Context& context, ExitCode& code) {
    if (context.options.text) return context.options.text;
    auto input = read_standard_input(context);
    code = context.interrupts.take() ? ExitCode::cancelled : ExitCode::failed;
    if (code == ExitCode::cancelled) return std::nullopt;
    if (input.has_value()) return std::move(*input);
    print_error(context, input.error().message);
    return std::nullopt;
}

std::string describe_prefixes(const json::object& object) {
    if (!is_listing(object)) return {};
    std::string text = fmt::format("{:<24} {:>8} {:>7} {:>9} {:>7}  {}\n", "PREFIX", "TOKENS",
                                   "PAGES", "KIB", "HITS", "WHOSE");
    for (const json::object* prefix : listed(object)) {
        const json::value* common = find_field(*prefix, "common");
        const bool is_common = common != nullptr && common->is_bool() && common->get_bool();
        text += fmt::format("{:<24} {:>8.0f} {:>7.0f} {:>9.0f} {:>7.0f}  {}\n", word(*prefix, "id"),
                            number_field(*prefix, "tokens"), number_field(*prefix, "pages"),
                            number_field(*prefix, "bytes") / 1024, number_field(*prefix, "hits"),
                            is_common ? "everybody's" : "yours");
    }
    return text;
}

std::string describe_sessions(const json::object& object) {
    if (!is_listing(object)) return {};
    std::string text =
        fmt::format("{:<24} {:>8} {:>7} {:>9} {:>9} {:>8} {:>9}  {}\n", "SESSION", "TOKENS",
                    "PAGES", "KIB", "REQUESTS", "IDLE S", "TIER", "CONTEXT");
    for (const json::object* session : listed(object)) {
        text +=
            fmt::format("{:<24} {:>8.0f} {:>7.0f} {:>9.0f} {:>9.0f} {:>8.0f} {:>9}  {}\n",
                        word(*session, "id"), number_field(*session, "tokens"),
                        number_field(*session, "pages"), number_field(*session, "bytes") / 1024,
                        number_field(*session, "requests"), number_field(*session, "idle_seconds"),
                        word(*session, "tier"), word(*session, "context"));
    }
    return text;
}

}  // namespace

ExitCode show_health(Context& context) {
    return answer(context, {"GET", "/health", ""}, describe_fields);
}

ExitCode show_models(Context& context) {
    return answer(context, {"GET", "/v1/models", ""}, describe_names);
}

ExitCode show_sessions(Context& context) {
    return answer(context, {"GET", "/v1/sessions", ""},
                  context.options.quiet ? describe_names : describe_sessions);
}

ExitCode end_session(Context& context) {
    const std::string path = "/v1/sessions/" + percent_encoded(context.options.name);
    return answer(context, {"DELETE", path, ""}, describe_fields);
}

ExitCode save_session(Context& context) {
    const std::string path = "/v1/sessions/" + percent_encoded(context.options.name) + "/save";
    return answer(context, {"POST", path, ""}, describe_fields);
}

ExitCode restore_session(Context& context) {
    const std::string path = "/v1/sessions/" + percent_encoded(context.options.name) + "/restore";
    return answer(context, {"POST", path, ""}, describe_fields);
}

ExitCode show_prefixes(Context& context) {
    return answer(context, {"GET", "/v1/prefixes", ""},
                  context.options.quiet ? describe_names : describe_prefixes);
}

ExitCode add_prefix(Context& context) {
    ExitCode code = ExitCode::ok;
    const auto text = text_or_input(context, code);
    if (!text) return code;
    const json::object body{{"name", context.options.name}, {"text", *text}};
    return answer(context, {"POST", "/v1/prefixes", json::serialize(body)}, describe_fields);
}

ExitCode remove_prefix(Context& context) {
    const std::string path = "/v1/prefixes/" + percent_encoded(context.options.name);
    return answer(context, {"DELETE", path, ""}, describe_fields);
}

ExitCode show_cache(Context& context) {
    return answer(context, {"GET", "/v1/cache", ""}, describe_fields);
}

ExitCode show_metrics(Context& context) {
    const CallResult result = call(context, {"GET", "/metrics", ""});
    if (result.code != ExitCode::ok) return result.code;
    std::string text = context.options.json ? metrics_to_json(result.body) : result.body;
    if (!text.ends_with('\n')) text += '\n';
    (void)context.out.write(text);
    return output_status(context);
}

ExitCode show_tokens(Context& context) {
    ExitCode code = ExitCode::ok;
    const auto text = text_or_input(context, code);
    if (!text) return code;
    const std::string body = json::serialize(json::object{{"content", *text}});
    return answer(context, {"POST", "/tokenize", body}, describe_tokens);
}

std::string metrics_to_json(std::string_view text) {
    std::string object = "{";
    for (const auto& [name, value] : parse_metrics(text)) {
        if (object.size() > 1) object += ',';
        object += json::serialize(json::string(name));
        object += fmt::format(":{}", value);
    }
    return object + "}";
}

}  // namespace kvasir::client
