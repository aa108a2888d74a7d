// Any bytes as a chat template: refused with a reason, or rendered within limits.
#include <boost/json/parse.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/base/check.hpp"
#include "daemon/template/chat_template.hpp"

namespace {

/// What the daemon hands a template: text, parts, tool calls, tools.
const boost::json::object& conversation() {
    static const boost::json::object kConversation = boost::json::parse(R"json({
        "messages": [
            {"role": "system", "content": "You are a lighthouse."},
            {"role": "user", "content": [{"type": "text", "text": "Wer da?\n"}, {"type": "image"}]},
            {"role": "assistant", "content": null, "reasoning_content": "think",
             "tool_calls": [{"id": "c1", "type": "function",
                             "function": {"name": "look", "arguments": {"at": "sea", "n": [1, 2.5, null]}}}]},
            {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "<b>\u00e9\ud83d\ude00</b>"},
            {"role": "user", "content": ""}],
        "tools": [{"type": "function", "function": {"name": "look", "description": "d",
                   "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}],
        "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>",
        "enable_thinking": false, "documents": []})json")
                                                         .as_object();
    return kConversation;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    kvasir::TemplateOptions options;
    // Small, so that a thousand templates a second can reach every one of them.
    options.limits.n_steps = 20'000;
    options.limits.output_bytes = 1 << 16;
    options.limits.string_bytes = 1 << 16;
    options.limits.live_bytes = 1 << 20;
    const auto made = kvasir::ChatTemplate::create(
        std::string_view(reinterpret_cast<const char*>(data), size), options);
    if (made.has_error()) {
        KVASIR_CHECK(!made.error().message.empty(), "an error says what is wrong");
        return 0;
    }
    const auto rendered = made->render(conversation(), kvasir::TemplateTime{});
    if (rendered.has_error()) {
        KVASIR_CHECK(!rendered.error().message.empty(), "an error says what is wrong");
    } else {
        KVASIR_CHECK(rendered->size() <= options.limits.output_bytes, "output within its limit");
    }
    return 0;
}
