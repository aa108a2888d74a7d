// GET /health, /v1/models, /metrics: what the daemon is doing. Answered on the io thread, in any
// state.
#include <fmt/format.h>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "daemon/http/access.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/json_writer.hpp"
#include "daemon/http/routes.hpp"

namespace kvasir {

namespace {

const char* phase_name(EngineState::Phase phase) {
    switch (phase) {
        case EngineState::Phase::loading: return "loading";
        case EngineState::Phase::ready: return "ok";
        case EngineState::Phase::failed: return "failed";
        case EngineState::Phase::stopping: return "stopping";
    }
    return "unknown";
}

class MetricsText {
public:
    void metric(const char* name, const char* type, const char* help, std::uint64_t value) {
        head(name, type, help);
        fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
    }
    void head(const char* name, const char* type, const char* help) {
        fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help,
                       type);
    }
    using Labelled = std::pair<const char*, std::uint64_t>;
    void labelled(const char* name, const char* help, const char* label,
                  std::initializer_list<Labelled> values) {
        head(name, "counter", help);
        for (const auto& [value, count] : values)
            fmt::format_to(std::back_inserter(out), "{}{{{}=\"{}\"}} {}\n", name, label, value,
                           count);
    }
    std::string out;
};

void write_engine(MetricsText& text, const EngineMetrics& m) {
    text.metric("kvasir_requests_running", "gauge", "Requests being generated.",
                m.n_requests_running);
    text.metric("kvasir_requests_waiting", "gauge", "Requests in the queue.", m.n_requests_waiting);
    text.metric("kvasir_requests_paused", "gauge",
                "Requests of the background that gave up their place.", m.n_requests_paused);
    text.metric("kvasir_requests_paused_total", "counter",
                "Times a request of the background gave up its place.", m.n_requests_paused_total);
    text.metric("kvasir_requests_total", "counter", "Requests the engine took.",
                m.n_requests_total);
    text.metric("kvasir_prompt_tokens_total", "counter", "Prompt tokens, cached ones included.",
                m.n_prompt_tokens_total);
    text.metric("kvasir_cached_tokens_total", "counter", "Prompt tokens found in the cache.",
                m.n_cached_tokens_total);
    text.metric("kvasir_prefill_tokens_total", "counter", "Prompt tokens computed.",
                m.n_prefill_tokens_total);
    text.metric("kvasir_generated_tokens_total", "counter", "Tokens generated.",
                m.n_generated_tokens_total);
    text.metric("kvasir_steps_total", "counter", "Steps of the device.", m.n_steps_total);
    text.metric("kvasir_kv_pages", "gauge", "KV pages of the budget.", m.n_pages_total);
    text.metric("kvasir_kv_pages_leased", "gauge", "KV pages of running requests.",
                m.n_pages_leased);
    text.metric("kvasir_kv_pages_cached", "gauge", "KV pages kept for reuse.", m.n_pages_cached);
    text.metric("kvasir_kv_bytes_per_token", "gauge", "KV bytes a token takes.",
                m.kv_bytes_per_token);
    text.metric("kvasir_kv_pages_claimed", "gauge", "KV pages held by name.", m.n_pages_claimed);
    text.metric("kvasir_kv_pages_on_host", "gauge", "KV pages in host memory.", m.n_pages_on_host);
    text.metric("kvasir_kv_host_bytes", "gauge", "Host memory allocated for KV pages.",
                m.host_bytes_allocated);
    text.metric("kvasir_kv_pages_saved_total", "counter", "KV pages moved to host memory.",
                m.n_pages_saved_total);
    text.metric("kvasir_kv_pages_loaded_total", "counter", "KV pages fetched from host memory.",
                m.n_pages_loaded_total);
    text.metric("kvasir_sessions", "gauge", "Sessions.", m.n_sessions);
    text.metric("kvasir_prefixes", "gauge", "Named prefixes.", m.n_prefixes);
    text.metric("kvasir_cache_hits_total", "counter", "Requests that began on cached pages.",
                m.n_hits_total);
    text.labelled("kvasir_cache_misses_total", "Requests that missed pages, by reason.", "reason",
                  {{"never_seen", m.n_misses_never_seen_total},
                   {"expired", m.n_misses_expired_total},
                   {"evicted", m.n_misses_evicted_total},
                   {"retokenized", m.n_misses_retokenized_total},
                   {"template", m.n_misses_template_total},
                   {"diverged", m.n_misses_diverged_total}});
    text.labelled("kvasir_cache_evictions_total", "KV pages that went, by reason.", "reason",
                  {{"space", m.n_evicted_for_space_total},
                   {"request", m.n_evicted_by_request_total},
                   {"expired", m.n_evicted_expired_total},
                   {"ended", m.n_evicted_ended_total}});
    text.head("kvasir_cache_bytes", "gauge", "KV pages on the device, by domain.");
    for (const EngineMetrics::Domain& domain : m.domains)
        fmt::format_to(std::back_inserter(text.out), "kvasir_cache_bytes{{domain=\"{}\"}} {}\n",
                       domain.name, domain.bytes);
    text.metric("kvasir_kv_allocated_bytes", "gauge", "KV bytes allocated on the device.",
                m.kv_bytes_allocated);
}

void write_http(MetricsText& text, const HttpCounters& counters) {
    text.metric("kvasir_http_connections", "gauge", "Open connections.", counters.n_connections);
    text.metric("kvasir_http_body_bytes", "gauge", "Request bodies in memory.",
                counters.body_bytes_held);
    text.metric("kvasir_http_accepted_total", "counter", "Connections accepted.",
                counters.n_accepted);
    text.metric("kvasir_http_refused_total", "counter", "Connections over the limit.",
                counters.n_refused);
    text.metric("kvasir_http_timeouts_total", "counter", "Requests that did not arrive in time.",
                counters.n_timed_out);
    text.metric("kvasir_http_clients_gone_total", "counter",
                "Clients that left before their answer.", counters.n_clients_gone);
    text.metric("kvasir_http_slow_clients_total", "counter", "Clients that stopped reading.",
                counters.n_slow_clients);
    text.head("kvasir_http_responses_total", "counter", "Responses by route and status.");
    for (const auto& [key, count] : counters.responses()) {
        fmt::format_to(std::back_inserter(text.out),
                       "kvasir_http_responses_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                       key.second, count);
    }
}

void write_model(JsonWriter& json, const ModelInfo& model) {
    json.begin_object().field("id", model.id).field("object", "model");
    json.field("created", process_start_seconds()).field("owned_by", "kvasir");
    json.key("meta").begin_object();
    json.field("n_vocab", static_cast<std::uint64_t>(model.n_vocab));
    json.field("n_ctx", static_cast<std::uint64_t>(model.context_length));
    if (model.window_length > 0)
        json.field("n_ctx_window", static_cast<std::uint64_t>(model.window_length));
    json.field("n_params", model.n_parameters);
    json.end_object().end_object();
}

}  // namespace

void get_health(ServerContext& context, const ExchangePtr& exchange) {
    const EngineState state = context.engine->state();
    HttpResponse response;
    const bool stopping = context.stopping.load();
    const bool is_ready = state.phase == EngineState::Phase::ready && !stopping;
    JsonWriter json(response.body);
    json.begin_object();
    json.field("status", phase_name(stopping ? EngineState::Phase::stopping : state.phase));
    if (state.phase == EngineState::Phase::loading) json.field("progress", state.progress);
    if (state.error) json.field("message", state.error->message);
    json.end_object();
    if (!is_ready) response.status = http_status(ErrorKind::loading);
    exchange->reply(std::move(response));
}

void get_metrics(ServerContext& context, const ExchangePtr& exchange) {
    if (!is_administrator(context.options, exchange->request())) {
        return exchange->reply(
            error_response({ErrorKind::forbidden, "/metrics: for administrators alone", {}}));
    }
    MetricsText text;
    text.metric("kvasir_ready", "gauge", "1 once the model is loaded.",
                context.engine->state().phase == EngineState::Phase::ready ? 1 : 0);
    write_engine(text, context.engine->metrics());
    write_http(text, context.counters);
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = std::move(text.out);
    exchange->reply(std::move(response));
}

void get_models(ServerContext& context, const ExchangePtr& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    HttpResponse response;
    JsonWriter json(response.body);
    const std::string wanted = exchange->request().path_id;
    if (!wanted.empty() && wanted != model->id) {
        return exchange->reply(
            error_response({ErrorKind::not_found,
                            "model: no such model here; GET /v1/models lists what is", "model"}));
    }
    if (!wanted.empty()) {
        write_model(json, *model);
    } else {
        json.begin_object().field("object", "list").key("data").begin_array();
        write_model(json, *model);
        json.end_array().end_object();
    }
    exchange->reply(std::move(response));
}

}  // namespace kvasir
