// kvasir chat: a conversation, typed or piped in.
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "daemon/kvasir/commands.hpp"
#include "daemon/kvasir/conversation.hpp"
#include "daemon/kvasir/line_reader.hpp"

namespace kvasir::client {
namespace {

constexpr std::string_view kHelp =
    "/help        this\n"
    "/stats       figures of the last reply and of the conversation\n"
    "/save FILE   write the conversation to FILE, as JSON\n"
    "/clear       forget the conversation\n"
    "/quit        end; so do Ctrl-D and a second Ctrl-C\n"
    "A line that ends with \\ goes on in the next one. Ctrl-C cancels a reply.\n";

class Chat {
public:
    Chat(Context& context, LineReader& reader)
        : context_(context), reader_(reader), conversation_(context.options.system) {}

    ExitCode run();

private:
    /// Absent: go on.
    std::optional<ExitCode> handle_command(const std::string& line);
    std::optional<ExitCode> say(std::string text);
    ExitCode reply_as_json(const std::string& body, std::string& text);
    void show_stats();
    void note(const std::string& text) { (void)context_.err.write_styled("2", text); }
    LineReader::Status read_message(std::string& message);

    Context& context_;
    LineReader& reader_;
    Conversation conversation_;
    GenerationResult last_;
    std::uint64_t n_prompt_total_ = 0;
    std::uint64_t n_cached_total_ = 0;
    std::uint64_t n_generated_total_ = 0;
};

/// One message; lines joined where they end with a backslash.
LineReader::Status Chat::read_message(std::string& message) {
    message.clear();
    std::string line;
    const char* prompt = "> ";
    while (true) {
        const auto status = reader_.read(prompt, line);
        if (status == LineReader::Status::end && !message.empty()) return LineReader::Status::line;
        if (status == LineReader::Status::interrupted && !message.empty()) {
            return LineReader::Status::cleared;
        }
        if (status != LineReader::Status::line) return status;
        if (line.ends_with('\r')) line.pop_back();
        if (!line.ends_with('\\')) {
            message += line;
            return LineReader::Status::line;
        }
        line.back() = '\n';
        message += line;
        prompt = "... ";
    }
}

ExitCode Chat::run() {
    bool warned = false;
    while (true) {
        std::string message;
        switch (read_message(message)) {
            case LineReader::Status::end:
                if (reader_.is_interactive()) (void)context_.out.write("\n");
                return ExitCode::ok;
            case LineReader::Status::too_long:
                print_error(context_, "a line of more than " +
                                          std::to_string(LineReader::kMaxLineBytes) + " bytes");
                return ExitCode::failed;
            case LineReader::Status::interrupted:
                if (warned || !reader_.is_interactive()) return ExitCode::cancelled;
                warned = true;
                note("Ctrl-C again ends the conversation.\n");
                continue;
            case LineReader::Status::cleared: warned = false; continue;
            case LineReader::Status::line: warned = false; break;
        }
        if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
        const auto code =
            message.starts_with('/') ? handle_command(message) : say(std::move(message));
        if (code) return *code;
    }
}

std::optional<ExitCode> Chat::handle_command(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    argument.erase(0, argument.find_first_not_of(' '));
    argument.erase(argument.find_last_not_of(' ') + 1);
    if (name == "/quit" || name == "/exit") return ExitCode::ok;
    if (name == "/help") {
        note(std::string(kHelp));
    } else if (name == "/clear") {
        conversation_.clear();
        note("The conversation is forgotten.\n");
    } else if (name == "/stats") {
        show_stats();
    } else if (name == "/save" && !argument.empty()) {
        const auto saved = conversation_.save(argument);
        if (saved.has_error()) {
            print_error(context_, saved.error().message);
            if (!reader_.is_interactive()) return ExitCode::failed;
        } else {
            note("Saved.\n");
        }
    } else if (name == "/save") {
        note("/save FILE: a file name is missing.\n");
    } else {
        note(name +
             ": no such command. /help lists them; a space before the slash sends the line.\n");
    }
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

ExitCode Chat::reply_as_json(const std::string& body, std::string& text) {
    const CallResult result = call(context_, {"POST", "/v1/chat/completions", body});
    if (result.code != ExitCode::ok) return result.code;
    boost::json::error_code ec;
    const auto reply = boost::json::parse(result.body, ec);
    const auto* content = ec ? nullptr : reply.find_pointer("/choices/0/message/content", ec);
    if (content == nullptr || !content->is_string()) {
        print_error(context_, "the server's answer has no message: " + result.body.substr(0, 80));
        return ExitCode::failed;
    }
    text = content->get_string();
    (void)context_.out.write(result.body + "\n");
    return output_status(context_);
}

std::optional<ExitCode> Chat::say(std::string text) {
    conversation_.add_user(std::move(text));
    const Options& options = context_.options;
    const std::string body = "{\"messages\":" + conversation_.messages() + "," +
                             generation_fields(options.generation, !options.json) + "}";
    GenerationResult result;
    if (options.json) {
        result.code = reply_as_json(body, result.text);
    } else {
        result = generate(context_, "/v1/chat/completions", body);
        if (context_.out.in_line()) (void)context_.out.write("\n");
    }
    // What was said before Ctrl-C stays part of the conversation; a failed exchange does not.
    const bool keeps = result.code == ExitCode::ok || result.code == ExitCode::cancelled;
    conversation_.add_assistant(keeps ? result.text : "");
    if (result.code == ExitCode::ok) {
        n_prompt_total_ += result.stats.n_prompt_tokens.value_or(0);
        n_cached_total_ += result.stats.n_cached_tokens.value_or(0);
        n_generated_total_ += result.stats.n_generated_tokens.value_or(0);
        last_ = result;
        if (options.stats && !options.json) note(describe(result) + "\n");
        return std::nullopt;
    }
    const bool goes_on = result.code == ExitCode::failed || result.code == ExitCode::cancelled;
    if (context_.out.error() == 0 && reader_.is_interactive() && goes_on) return std::nullopt;
    return result.code;
}

}  // namespace

ExitCode run_chat(Context& context) {
    const auto reader = LineReader::create(context.interrupts);
    if (reader->is_interactive()) {
        // Better to learn before typing that nobody listens. Other errors come with the first
        // reply.
        const auto connection = HttpConnection::open(context.options.endpoint);
        if (connection.has_error()) {
            if (context.interrupts.take()) return ExitCode::cancelled;
            print_error(context, connection.error().message);
            return ExitCode::cannot_connect;
        }
        (void)context.err.write_styled("2", "Type a message; /help lists the commands.\n");
    }
    return Chat(context, *reader).run();
}

}  // namespace kvasir::client
