// Embeddings as answers, in OpenAI's and Ollama's shapes. Vectors have length 1, as OpenAI's.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daemon/http/answer_writer.hpp"

namespace kvasir {

/// The first n_values of the vector, scaled to length 1 in double precision; zeros stay zeros.
std::vector<float> normalized(std::span<const float> vector, std::size_t n_values);

/// Little-endian f32, as base64.
std::string to_base64(std::span<const float> values);

/// Always whole: a stream of vectors is nobody's wish.
class EmbeddingWriter final : public AnswerWriter {
public:
    enum class Form {
        openai,
        ollama,
        ollama_single,  // the older route: one vector and nothing else
    };
    struct Shape {
        Form form = Form::openai;
        std::string model;
        bool is_base64 = false;
        std::uint32_t n_values = 0;
    };

    explicit EmbeddingWriter(Shape shape) : shape_(std::move(shape)) {}

    void begin(std::span<const GenerationRequest>) override {}
    bool has_tokens() const override { return false; }

    const char* stream_type() const override { return kEventStream; }
    void open(std::string&) override {}
    void chunk(std::string&, std::size_t, GenerationChunk) override {}
    void end_choice(std::string&, std::size_t, const GenerationEnd&) override {}
    void finish(std::string&, std::size_t, std::span<const GenerationEnd>) override {}
    void keep_alive(std::string&) override {}
    void fail(std::string&, const ApiError&) override {}

    std::string whole(std::span<ChoicePart> parts, std::span<const GenerationEnd> ends) override;
    HttpResponse refuse(const ApiError& error) const override;

private:
    std::string openai(std::span<const GenerationEnd> ends) const;
    std::string ollama(std::span<const GenerationEnd> ends) const;

    const Shape shape_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace kvasir
