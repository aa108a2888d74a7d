// What is typed after a slash in a chat.
#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "daemon/kvasir/answer_fields.hpp"
#include "daemon/kvasir/chat.hpp"
#include "daemon/kvasir/screen_text.hpp"

namespace kvasir::client {
namespace json = boost::json;
namespace {

struct ChatCommand {
    std::string_view name;
    std::string_view argument;
    std::string_view help;
};

constexpr std::array kCommands = {
    ChatCommand{"/help", "", "this"},
    ChatCommand{"/session", "[NAME]", "what the server keeps of this conversation; go on as NAME"},
    ChatCommand{"/stats", "", "figures of the last reply and of the conversation"},
    ChatCommand{"/save", "FILE", "write the conversation to FILE, as JSON"},
    ChatCommand{"/new", "", "forget the conversation and begin another; also /clear"},
    ChatCommand{"/exit", "", "end; so do /quit, Ctrl-D and a second Ctrl-C"},
};

constexpr std::string_view kTyping =
    "A line that ends with \\ goes on in the next one, as after Alt-Enter; a block of\n"
    "lines stands between \"\"\" and \"\"\". Arrow keys and Ctrl-R find what was typed\n"
    "before. Ctrl-C stops a reply, which stays in the conversation.\n";

std::string help() {
    std::string text;
    for (const ChatCommand& command : kCommands) {
        text += fmt::format("{:<17} {}\n", fmt::format("{} {}", command.name, command.argument),
                            command.help);
    }
    return text.append(kTyping);
}

/// A name that nobody else has.
std::string new_session_name() {
    std::random_device random;
    return fmt::format("chat-{:08x}{:08x}", random(), random());
}

std::string plural(double n, const char* what) {
    return fmt::format("{:.0f} {}{}", n, what, n == 1 ? "" : "s");
}

std::string describe_session(const json::object& session) {
    std::string text = plural(number_field(session, "tokens"), "token") + ", " +
                       plural(number_field(session, "pages"), "page") + ", " +
                       short_bytes(number_field(session, "bytes"));
    const std::string tier = text_field(session, "tier");
    if (!tier.empty()) text += " on " + tier;
    text += "; " + plural(number_field(session, "requests"), "request") + " found " +
            plural(number_field(session, "cached_tokens"), "token") + " in the cache";
    const json::value* expires = find_field(session, "expires_in_seconds");
    if (expires != nullptr && expires->is_number())
        text += "; kept " + short_duration(number_field(session, "expires_in_seconds")) + " more";
    return text;
}

}  // namespace

Chat::Chat(Context& context, LineReader& reader, HistoryFile& history)
    : context_(context), reader_(reader), history_(history), conversation_(context.options.system) {
    owns_session_ = reader.is_interactive() && context.options.generation.session.empty();
    if (owns_session_) context.options.generation.session = new_session_name();
}

void Chat::note(const std::string& text) {
    (void)context_.err.write_styled("2", wrapped(text, context_.err.width()));
}

std::vector<std::string> Chat::command_names() {
    std::vector<std::string> names;
    for (const ChatCommand& command : kCommands) names.emplace_back(command.name);
    return names;
}

std::optional<ExitCode> Chat::handle_command(const std::string& line) {
    const std::size_t space = line.find_first_of(" \t\n");
    const std::string name = line.substr(0, space);
    std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    argument.erase(0, argument.find_first_not_of(" \t\n"));
    argument.erase(argument.find_last_not_of(" \t\n") + 1);
    if (name == "/quit" || name == "/exit") return ExitCode::ok;
    if (name == "/save") return save(argument);
    if (name == "/help") {
        note(help());
    } else if (name == "/clear" || name == "/new") {
        start_anew();
    } else if (name == "/stats") {
        show_stats();
    } else if (name == "/session" && argument.empty()) {
        show_session();
    } else if (name == "/session") {
        use_session(argument);
    } else {
        note(name +
             ": no such command. /help lists them; a space before the slash sends the line.\n");
    }
    return std::nullopt;
}

std::optional<ExitCode> Chat::save(const std::string& path) {
    if (path.empty()) {
        note("/save FILE: a file name is missing.\n");
        return std::nullopt;
    }
    const char* home = path.starts_with("~/") ? std::getenv("HOME") : nullptr;
    const auto saved = conversation_.save(home == nullptr ? path : home + path.substr(1));
    if (!saved.has_error()) {
        note("Saved.\n");
        return std::nullopt;
    }
    print_error(context_, saved.error().message);
    if (!reader_.is_interactive()) return ExitCode::failed;
    return std::nullopt;
}

void Chat::show_stats() {
    if (n_generated_total_ + n_prompt_total_ == 0) return note("No reply yet.\n");
    note("Last reply: " + describe(last_) + "\n");
    note("Conversation: " + std::to_string(conversation_.n_turns()) + " turns, " +
         std::to_string(n_prompt_total_) + " prompt tokens sent (" +
         std::to_string(n_cached_total_) + " cached), " + std::to_string(n_generated_total_) +
         " generated\n");
}

void Chat::show_session() {
    const std::string& name = context_.options.generation.session;
    if (name.empty()) return note("No session; /session NAME begins one.\n");
    const auto reply = ask_quietly(context_, {"GET", "/v1/sessions/" + percent_encoded(name), ""});
    if (context_.interrupts.take()) return;
    if (reply.has_error()) return print_error(context_, reply.error().message);
    if (reply->status == 404) return note(name + ": the server keeps nothing of it.\n");
    if (reply->status != 200) return print_error(context_, error_message(reply->body));
    json::error_code ec;
    const json::value body = json::parse(reply->body, ec);
    if (ec || !body.is_object())
        return print_error(context_, "the server's answer is no JSON object");
    note(name + ": " + describe_session(body.get_object()) + "\n");
}

void Chat::use_session(const std::string& name) {
    end_own_session();
    owns_session_ = false;
    context_.options.generation.session = name;
    note("The conversation goes on in session " + name + ", which stays when the chat ends.\n");
}

void Chat::start_anew() {
    end_own_session();
    conversation_.clear();
    if (owns_session_) context_.options.generation.session = new_session_name();
    note("The conversation is forgotten.\n");
}

/// What only this conversation used is free then.
void Chat::end_own_session() {
    if (!owns_session_ || !std::exchange(has_used_session_, false)) return;
    const std::string path = "/v1/sessions/" + percent_encoded(context_.options.generation.session);
    (void)ask_quietly(context_, {"DELETE", path, ""});  // it expires where this fails
    (void)context_.interrupts.take();
}

}  // namespace kvasir::client
