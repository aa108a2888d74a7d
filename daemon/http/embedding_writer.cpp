#include "daemon/http/embedding_writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "daemon/http/json_writer.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Of one vector, roughly: what is reserved is not copied as the answer grows.
std::size_t answer_bytes(const EmbeddingWriter::Shape& shape) {
    constexpr std::size_t kDecimal = 14;  // digits, sign, point, comma of most values
    constexpr std::size_t kFrame = 64;
    return kFrame + shape.n_values * (shape.is_base64 ? 6 : kDecimal);
}

void write_vector(JsonWriter& json, std::span<const float> values) {
    json.begin_array();
    for (const float value : values) json.number(value);
    json.end_array();
}

}  // namespace

std::vector<float> normalized(std::span<const float> vector, std::size_t n_values) {
    const auto kept = vector.first(std::min(n_values, vector.size()));
    double squares = 0;
    for (const float value : kept) squares += double{value} * double{value};
    const double length = squares > 0 ? std::sqrt(squares) : 1;
    std::vector<float> scaled(kept.size());
    std::ranges::transform(kept, scaled.begin(),
                           [&](float value) { return static_cast<float>(value / length); });
    return scaled;
}

std::string to_base64(std::span<const float> values) {
    std::string out;
    out.reserve((values.size() * sizeof(float) + 2) / 3 * 4);
    std::array<std::uint32_t, 3> group{};
    std::size_t n = 0;
    const auto flush = [&] {
        const std::uint32_t bits = group[0] << 16U | group[1] << 8U | group[2];
        for (std::size_t digit = 0; digit < 4; ++digit) {
            const auto value = (bits >> (18U - 6U * static_cast<unsigned>(digit))) & 63U;
            out += digit <= n ? kDigits[value] : '=';
        }
        group = {};
        n = 0;
    };
    for (const float value : values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        for (unsigned byte = 0; byte < 4; ++byte) {
            group[n++] = (bits >> (8U * byte)) & 0xffU;
            if (n == group.size()) flush();
        }
    }
    if (n > 0) flush();
    return out;
}

std::string EmbeddingWriter::openai(std::span<const GenerationEnd> ends) const {
    std::string out;
    out.reserve(ends.size() * answer_bytes(shape_));
    JsonWriter json(out);
    json.begin_object().field("object", "list").key("data").begin_array();
    for (std::size_t i = 0; i < ends.size(); ++i) {
        const std::vector<float> vector = normalized(ends[i].embedding, shape_.n_values);
        json.begin_object().field("object", "embedding").field("index", std::uint64_t{i});
        json.key("embedding");
        shape_.is_base64 ? void(json.string(to_base64(vector))) : write_vector(json, vector);
        json.end_object();
    }
    json.end_array().field("model", shape_.model);
    write_usage(json, sum_usage(ends, 1), false);
    json.end_object();
    return out;
}

std::string EmbeddingWriter::ollama(std::span<const GenerationEnd> ends) const {
    std::string out;
    out.reserve(ends.size() * answer_bytes(shape_));
    JsonWriter json(out);
    json.begin_object();
    if (shape_.form == Form::ollama_single) {
        json.key("embedding");
        write_vector(json, ends.empty() ? std::vector<float>()
                                        : normalized(ends[0].embedding, shape_.n_values));
        json.end_object();
        return out;
    }
    json.field("model", shape_.model).key("embeddings").begin_array();
    for (const GenerationEnd& end : ends)
        write_vector(json, normalized(end.embedding, shape_.n_values));
    json.end_array();
    const std::chrono::nanoseconds total = std::chrono::steady_clock::now() - start_;
    json.field("total_duration", static_cast<std::uint64_t>(total.count()));
    json.field("load_duration", std::uint64_t{0});  // it was loaded before anybody asked
    json.field("prompt_eval_count", sum_usage(ends, 1).n_prompt_tokens);
    json.end_object();
    return out;
}

std::string EmbeddingWriter::whole(std::span<ChoicePart>, std::span<const GenerationEnd> ends) {
    return shape_.form == Form::openai ? openai(ends) : ollama(ends);
}

HttpResponse EmbeddingWriter::refuse(const ApiError& error) const {
    return shape_.form == Form::openai ? error_response(error) : ollama_error_response(error);
}

}  // namespace kvasir
