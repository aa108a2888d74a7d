// POST /api/chat and /api/generate, as Ollama has them.
#include <utility>

#include "daemon/http/generation_door.hpp"
#include "daemon/http/ollama_error.hpp"
#include "daemon/http/ollama_request.hpp"
#include "daemon/http/ollama_writer.hpp"

namespace kvasir {

namespace {

ReadRequest with_writer(OllamaRequest ollama, const ModelInfo& model, bool is_chat) {
    ReadRequest read;
    if (ollama.is_load) {
        read.answer.emplace();
        read.answer->body = ollama_load_json(model.id, is_chat);
        return read;
    }
    read.id = make_id("ollama-");
    read.prompt_param = is_chat ? "messages" : "prompt";
    read.request = std::move(ollama.request);
    read.writer = std::make_unique<OllamaWriter>(
        OllamaWriter::Shape{
            .model = model.id, .is_chat = is_chat, .returns_context = ollama.returns_context},
        AnswerParts::create(read.request, model));
    return read;
}

ApiResult<ReadRequest> read_chat(std::string_view body, const HttpLimits& limits,
                                 const ModelInfo& model) {
    KVASIR_TRY(OllamaRequest request, parse_ollama_chat(body, limits, model));
    return with_writer(std::move(request), model, true);
}

ApiResult<ReadRequest> read_generate(std::string_view body, const HttpLimits& limits,
                                     const ModelInfo& model) {
    KVASIR_TRY(OllamaRequest request, parse_ollama_generate(body, limits, model));
    return with_writer(std::move(request), model, false);
}

}  // namespace

void post_ollama_chat(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_chat, ollama_error_response});
}

void post_ollama_generate(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_generate, ollama_error_response});
}

}  // namespace kvasir
