// POST /v1/embeddings, and Ollama's /api/embed and /api/embeddings.
#include <utility>

#include "daemon/http/embedding_request.hpp"
#include "daemon/http/embedding_writer.hpp"
#include "daemon/http/generation_door.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

namespace {

ReadRequest with_writer(EmbeddingRequest embedding, const ModelInfo& model,
                        EmbeddingWriter::Form form) {
    ReadRequest read;
    read.id = make_id("embd-");
    read.prompt_param = form == EmbeddingWriter::Form::ollama_single ? "prompt" : "input";
    auto writer =
        std::make_unique<EmbeddingWriter>(EmbeddingWriter::Shape{.form = form,
                                                                 .model = model.id,
                                                                 .is_base64 = embedding.is_base64,
                                                                 .n_values = embedding.n_values});
    if (embedding.request.prompts.empty()) {
        read.answer.emplace();
        read.answer->body = writer->whole({}, {});
        return read;
    }
    read.writer = std::move(writer);
    read.request = std::move(embedding.request);
    return read;
}

ApiResult<ReadRequest> read_openai(std::string_view body, const HttpLimits& limits,
                                   const ModelInfo& model) {
    KVASIR_TRY(EmbeddingRequest request, parse_embeddings(body, limits, model));
    return with_writer(std::move(request), model, EmbeddingWriter::Form::openai);
}

ApiResult<ReadRequest> read_embed(std::string_view body, const HttpLimits& limits,
                                  const ModelInfo& model) {
    KVASIR_TRY(EmbeddingRequest request, parse_ollama_embed(body, limits, model));
    return with_writer(std::move(request), model, EmbeddingWriter::Form::ollama);
}

ApiResult<ReadRequest> read_embeddings(std::string_view body, const HttpLimits& limits,
                                       const ModelInfo& model) {
    KVASIR_TRY(EmbeddingRequest request, parse_ollama_embeddings(body, limits, model));
    return with_writer(std::move(request), model, EmbeddingWriter::Form::ollama_single);
}

}  // namespace

void post_embeddings(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_openai, error_response});
}

void post_ollama_embed(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_embed, ollama_error_response});
}

void post_ollama_embeddings(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_embeddings, ollama_error_response});
}

}  // namespace kvasir
