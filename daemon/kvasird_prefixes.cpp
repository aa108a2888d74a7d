#include "daemon/kvasird_prefixes.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <fmt/format.h>
#include <future>
#include <memory>

#include "config/base/log.hpp"
#include "config/prefix_file.hpp"
#include "daemon/http/chat_text.hpp"
#include "daemon/http/prompt_tokens.hpp"
#include <systemd/sd-daemon.h>

namespace kvasir {
namespace {

class Waiting final : public GenerationSink {
public:
    void on_chunk(GenerationChunk) noexcept override {}
    void on_end(GenerationEnd end) noexcept override { end_.set_value(std::move(end)); }
    GenerationEnd wait() { return end_.get_future().get(); }

private:
    std::promise<GenerationEnd> end_;
};

Result<ChatRole> find_role(const std::string& role) {
    if (role == "system") return ChatRole::system;
    if (role == "user") return ChatRole::user;
    if (role == "assistant") return ChatRole::assistant;
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("role \"{}\", expected system, user or assistant", role.substr(0, 32))};
}

ApiResult<std::vector<TokenId>> encode_messages(const PrefixFile& file, const ModelInfo& model,
                                                const std::vector<ChatMessage>& messages) {
    if (chat_writer(model) != ChatWriter::model_template)
        return encode_chat(model, messages, ChatEnd::open);
    boost::json::array list;
    for (const PrefixFile::Message& message : file.messages)
        list.push_back({{"role", message.role}, {"content", message.content}});
    return encode_with_template(model,
                                {{"messages", std::move(list)}, {"add_generation_prompt", false}});
}

Result<std::vector<TokenId>> tokens_of(const PrefixFile& file, const ModelInfo& model) {
    if (!file.tokens.empty()) return file.tokens;
    std::vector<ChatMessage> messages;
    for (const PrefixFile::Message& message : file.messages) {
        KVASIR_TRY(const ChatRole role, find_role(message.role));
        messages.push_back({role, message.content});
    }
    const auto ids =
        file.text ? encode_prompt(model, *file.text) : encode_messages(file, model, messages);
    if (ids.has_error()) return Error{ErrorCode::invalid_argument, ids.error().message};
    return *ids;
}

Result<GenerationEnd> compute(GenerationEngine& engine, const PrefixFile& file) {
    const auto ms = [](std::optional<std::uint64_t> seconds) {
        return seconds ? std::optional(*seconds * 1000) : std::nullopt;
    };
    GenerationRequest request;
    request.request_id = "prefix " + file.name;
    request.is_administrator = true;
    request.prefix = PrefixOptions{
        .name = file.name,
        .ttl = {.idle_ms = ms(file.idle_seconds), .absolute_ms = ms(file.absolute_seconds)}};
    KVASIR_TRY(request.prompt, tokens_of(file, *engine.model()));
    const auto sink = std::make_shared<Waiting>();
    KVASIR_TRY_VOID(engine.submit(std::move(request), sink));
    GenerationEnd end = sink->wait();
    if (end.error) return *end.error;
    return end;
}

}  // namespace

void compute_prefix_files(GenerationEngine& engine, const std::filesystem::path& dir) {
    const auto paths = list_prefix_files(dir);
    if (paths.has_error()) return log_warn("prefixes", {{"error", paths.error().message}});
    for (const std::filesystem::path& path : *paths) {
        ::sd_notifyf(0, "STATUS=Computing prefix %s\nEXTEND_TIMEOUT_USEC=600000000",
                     path.filename().c_str());
        const auto start = std::chrono::steady_clock::now();
        const auto file = read_prefix_file(path);
        const auto end =
            file.has_error() ? Result<GenerationEnd>(file.error()) : compute(engine, *file);
        if (end.has_error()) {
            log_warn("prefix not computed",
                     {{"file", path.string()}, {"reason", end.error().message}});
            continue;
        }
        const auto took = std::chrono::steady_clock::now() - start;
        log_info("prefix ready",
                 {{"name", file->name},
                  {"tokens", end->n_prompt_tokens},
                  {"cached_tokens", end->n_cached_tokens},
                  {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
    }
}

}  // namespace kvasir
