// GET /api/tags, /api/ps, /api/version and POST /api/show: the one model, as Ollama's clients list
// models.
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "daemon/http/answer_parser.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/json_writer.hpp"
#include "daemon/http/ollama_error.hpp"
#include "daemon/http/ollama_writer.hpp"
#include "daemon/http/request_fields.hpp"
#include "daemon/http/routes.hpp"

namespace kvasir {

namespace {

constexpr const char* kNever = "9999-12-31T23:59:59Z";

/// 64 hexadecimal digits, as clients expect them, that stay while the model does. Not of the file's
/// bytes: reading those takes minutes.
std::string digest_of(const ModelInfo& model) {
    const std::string facts =
        fmt::format("{}\n{}\n{}\n{}\n{}\n{}", model.id, model.architecture, model.n_parameters,
                    model.weight_bytes, model.n_vocab, model.chat_template);
    std::string digits;
    for (std::uint64_t part = 0; part < 4; ++part) {
        std::uint64_t hash = 0xcbf29ce484222325U + part;  // FNV-1a
        for (const char byte : facts)
            hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
        digits += fmt::format("{:016x}", hash);
    }
    return digits;
}

/// 1,234,567,890 as "1.2B", 5,400,000 as "5.4M".
std::string parameter_size(std::uint64_t n) {
    const auto count = static_cast<double>(n);
    if (count >= 1e9) return fmt::format("{:.1f}B", count / 1e9);
    if (count >= 1e6) return fmt::format("{:.1f}M", count / 1e6);
    return fmt::format("{:.1f}K", count / 1e3);
}

std::string start_time() {
    return utc_time(std::chrono::seconds(process_start_seconds()));
}

void write_details(JsonWriter& json, const ModelInfo& model) {
    json.key("details").begin_object();
    json.field("parent_model", "").field("format", "gguf").field("family", model.architecture);
    json.key("families").begin_array().string(model.architecture).end_array();
    json.field("parameter_size", parameter_size(model.n_parameters));
    json.field("quantization_level", "unknown").end_object();  // tensors differ
}

void begin_model(JsonWriter& json, const ModelInfo& model, std::uint64_t bytes) {
    json.begin_object().field("name", model.id).field("model", model.id);
    json.field("size", bytes).field("digest", digest_of(model));
    write_details(json, model);
}

void reply(const ExchangePtr& exchange, std::string body) {
    HttpResponse response;
    response.body = std::move(body);
    exchange->reply(std::move(response));
}

void write_model_info(JsonWriter& json, const ModelInfo& model) {
    json.key("model_info").begin_object();
    json.field("general.architecture", model.architecture);
    json.field("general.basename", model.id);
    json.field("general.parameter_count", model.n_parameters);
    json.field(model.architecture + ".context_length", std::uint64_t{model.context_length});
    json.field(model.architecture + ".embedding_length", std::uint64_t{model.embedding_length});
    json.field(model.architecture + ".vocab_size", std::uint64_t{model.n_vocab});
    json.end_object();
}

/// Names are checked for their type alone: one model is loaded.
ApiResult<void> check_show(ServerContext& context, Exchange& exchange) {
    const RequestBody body = exchange.take_body();
    KVASIR_TRY(const boost::json::object object,
               parse_json_object(body.bytes(), context.options.limits.json_depth));
    const JsonFields fields(object);
    for (const char* name : {"model", "name"}) {
        if (const auto found = fields.string(name); found.has_error()) return found.error();
    }
    if (const auto found = fields.boolean("verbose"); found.has_error()) return found.error();
    return {};
}

}  // namespace

void get_ollama_version(ServerContext&, const ExchangePtr& exchange) {
    std::string body;
    JsonWriter(body).begin_object().field("version", KVASIR_VERSION).end_object();
    reply(exchange, std::move(body));
}

void get_ollama_tags(ServerContext& context, const ExchangePtr& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("models").begin_array();
    begin_model(json, *model, model->weight_bytes);
    json.field("modified_at", start_time()).end_object();
    json.end_array().end_object();
    reply(exchange, std::move(body));
}

void get_ollama_ps(ServerContext& context, const ExchangePtr& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    const std::uint64_t bytes = model->weight_bytes + context.engine->metrics().kv_bytes_allocated;
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("models").begin_array();
    begin_model(json, *model, bytes);
    json.field("expires_at", kNever).field("size_vram", bytes);
    json.field("context_length", std::uint64_t{model->context_length}).end_object();
    json.end_array().end_object();
    reply(exchange, std::move(body));
}

void post_ollama_show(ServerContext& context, const ExchangePtr& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    if (const auto checked = check_show(context, *exchange); checked.has_error())
        return exchange->reply(ollama_error_response(checked.error()));
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("license", "").field("modelfile", "").field("parameters", "");
    json.field("template", model->chat_template).field("system", "");
    write_details(json, *model);
    json.key("messages").begin_array().end_array();
    write_model_info(json, *model);
    json.key("capabilities").begin_array().string("completion").string("embedding");
    if (find_call_syntax(model->template_for(true)) != CallSyntax::none) json.string("tools");
    if (writes_thoughts(model->chat_template)) json.string("thinking");
    json.end_array();
    json.field("modified_at", start_time()).end_object();
    reply(exchange, std::move(body));
}

}  // namespace kvasir
