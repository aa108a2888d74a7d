#include "daemon/http/routes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <string>

#include "config/base/log.hpp"
#include "daemon/http/access.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/ollama_error.hpp"

namespace kvasir {

namespace {

using Handler = void (*)(ServerContext&, const ExchangePtr&);

struct Route {
    const char* method;
    const char* path;
    Handler handler;
    bool needs_model;  // 503 until it is loaded
    bool on_worker;
    bool is_state;  // answered on reserved connections too
};

// {} is one segment of the path, {...} all the rest.
constexpr std::array kRoutes{
    Route{"GET", "/health", get_health, false, false, true},
    Route{"GET", "/metrics", get_metrics, false, false, true},
    Route{"GET", "/v1/models", get_models, true, false, false},
    Route{"GET", "/v1/models/{...}", get_models, true, false, false},
    Route{"POST", "/v1/completions", post_completions, true, true, false},
    Route{"POST", "/v1/chat/completions", post_chat_completions, true, true, false},
    Route{"POST", "/v1/responses", post_responses, true, true, false},
    Route{"POST", "/v1/embeddings", post_embeddings, true, true, false},
    Route{"POST", "/api/embed", post_ollama_embed, true, true, false},
    Route{"POST", "/api/embeddings", post_ollama_embeddings, true, true, false},
    Route{"POST", "/api/chat", post_ollama_chat, true, true, false},
    Route{"POST", "/api/generate", post_ollama_generate, true, true, false},
    Route{"POST", "/api/show", post_ollama_show, true, true, false},
    Route{"GET", "/api/tags", get_ollama_tags, true, false, false},
    Route{"GET", "/api/ps", get_ollama_ps, true, false, false},
    Route{"GET", "/api/version", get_ollama_version, false, false, false},
    Route{"POST", "/tokenize", post_tokenize, true, true, false},
    Route{"POST", "/detokenize", post_detokenize, true, true, false},
    Route{"POST", "/apply-template", post_apply_template, true, true, false},
    Route{"POST", "/v1/sessions", post_session, true, true, false},
    Route{"GET", "/v1/sessions", get_sessions, true, false, false},
    Route{"GET", "/v1/sessions/{}", get_session, true, false, false},
    Route{"PATCH", "/v1/sessions/{}", patch_session, true, true, false},
    Route{"DELETE", "/v1/sessions/{}", delete_session, true, false, false},
    Route{"POST", "/v1/sessions/{}/save", post_session_save, true, false, false},
    Route{"POST", "/v1/sessions/{}/restore", post_session_restore, true, false, false},
    Route{"POST", "/v1/prefixes", post_prefix, true, true, false},
    Route{"GET", "/v1/prefixes", get_prefixes, true, false, false},
    Route{"GET", "/v1/prefixes/{}", get_prefix, true, false, false},
    Route{"DELETE", "/v1/prefixes/{}", delete_prefix, true, false, false},
    Route{"POST", "/v1/contexts/{}/end", post_context_end, true, false, false},
    Route{"GET", "/v1/cache", get_cache, true, false, false},
    Route{"POST", "/v1/cache/evict", post_cache_evict, true, true, false},
};

/// What stands for the braces, still encoded; empty where there are none. nullopt: no match.
std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
    const std::size_t brace = pattern.find('{');
    if (brace == std::string_view::npos) {
        if (pattern == path) return std::string_view();
        return std::nullopt;
    }
    const std::string_view before = pattern.substr(0, brace);
    const std::string_view after = pattern.substr(pattern.find('}') + 1);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
        !path.ends_with(after))
        return std::nullopt;
    const std::string_view found =
        path.substr(before.size(), path.size() - before.size() - after.size());
    const bool takes_rest = pattern.substr(brace).starts_with("{...}");
    if (!takes_rest && found.find('/') != std::string_view::npos) return std::nullopt;
    return found;
}

bool allows(const Route& route, std::string_view method) {
    const std::string_view wanted = route.method;
    return method == wanted || (method == "HEAD" && wanted == "GET");
}

struct Found {
    const Route* route = nullptr;  // of the path; of the method too where one allows it
    std::string_view id;
    std::string allowed;  // the path's methods
};

Found find_route(std::string_view method, std::string_view path) {
    Found found;
    for (const Route& route : kRoutes) {
        const std::optional<std::string_view> id = match_path(route.path, path);
        if (!id) continue;
        if (found.route == nullptr || allows(route, method)) found.route = &route;
        found.id = *id;
        if (!found.allowed.empty()) found.allowed += ", ";
        found.allowed += route.method == std::string_view("GET") ? "GET, HEAD" : route.method;
    }
    return found;
}

std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        const char* hex = text.data() + i + 1;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(hex, hex + 2, value, 16).ptr == hex + 2) {
            decoded += static_cast<char>(value);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

void refuse(Exchange& exchange, const ApiError& error) {
    exchange.reply(error_response_at(exchange.request().path, error));
}

bool refuse_wrong_method(const Found& found, Exchange& exchange) {
    const std::string_view method = exchange.request().method;
    if (allows(*found.route, method)) return false;
    HttpResponse response = error_response_at(
        exchange.request().path,
        {ErrorKind::method_not_allowed,
         fmt::format("{}: {}, expected {}", found.route->path, method, found.allowed),
         {}});
    response.headers.emplace_back("Allow", found.allowed);
    exchange.reply(std::move(response));
    return true;
}

bool refuse_by_state(ServerContext& context, Exchange& exchange) {
    if (context.stopping) {
        refuse(exchange, {ErrorKind::stopping, "the server is stopping", {}});
        return true;
    }
    const EngineState state = context.engine->state();
    switch (state.phase) {
        case EngineState::Phase::ready: return false;
        case EngineState::Phase::loading:
            refuse(exchange, {ErrorKind::loading,
                              fmt::format("the model is loading: {:.0f} %", state.progress * 100),
                              {}});
            return true;
        case EngineState::Phase::failed:
            refuse(exchange,
                   {state.error && state.error->code == ErrorCode::device_lost
                        ? ErrorKind::device_lost
                        : ErrorKind::load_failed,
                    state.error ? state.error->message : std::string("the model did not load"),
                    {}});
            return true;
        case EngineState::Phase::stopping:
            refuse(exchange, {ErrorKind::stopping, "the server is stopping", {}});
            return true;
    }
    return true;
}

/// Libraries throw; what they throw ends one request, not the process.
void run_guarded(Handler handler, ServerContext& context, const ExchangePtr& exchange) {
    try {
        handler(context, exchange);
    } catch (const std::bad_alloc&) {
        refuse(*exchange, {ErrorKind::out_of_memory, "out of memory for this request", {}});
    } catch (const std::exception& e) {
        log_error("handler threw", {{"route", exchange->request().route}, {"what", e.what()}});
        refuse(*exchange, {ErrorKind::internal, "internal error", {}});
    }
}

}  // namespace

void route_request(const std::shared_ptr<ServerContext>& context,
                   const std::shared_ptr<Exchange>& exchange) {
    const HttpRequest& request = exchange->request();
    const Found found = find_route(request.method, request.path);
    const Route* route = found.route;
    if (route != nullptr) exchange->set_route(route->path, percent_decoded(found.id));
    if (std::optional<ApiError> denied = check_access(
            context->options, request, route != nullptr && route->handler == get_health))
        return refuse(*exchange, *denied);
    if (route == nullptr) {
        return refuse(*exchange, {ErrorKind::unknown_route,
                                  fmt::format("{} {}: no such route", request.method,
                                              request.path.substr(0, 128)),
                                  {}});
    }
    if (refuse_wrong_method(found, *exchange)) return;
    if (request.reserved && !route->is_state) {
        return refuse(*exchange, {ErrorKind::too_many_connections,
                                  fmt::format("over {} connections, try again",
                                              context->options.limits.n_connections),
                                  {}});
    }
    if (route->needs_model && refuse_by_state(*context, *exchange)) return;
    if (!route->on_worker) return run_guarded(route->handler, *context, exchange);
    context->run_on_worker([context, exchange, handler = route->handler] {
        if (!exchange->gone()) run_guarded(handler, *context, exchange);
    });
}

std::uint64_t process_start_seconds() {
    static const std::uint64_t start = unix_seconds();
    return start;
}

}  // namespace kvasir
