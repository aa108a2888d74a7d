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

constexpr std::string_view kModelPrefix = "/v1/models/";

constexpr std::array kRoutes{
    Route{"GET", "/health", get_health, false, false, true},
    Route{"GET", "/metrics", get_metrics, false, false, true},
    Route{"GET", "/v1/models", get_models, true, false, false},
    Route{"POST", "/v1/completions", post_completions, true, true, false},
    Route{"POST", "/v1/chat/completions", post_chat_completions, true, true, false},
    Route{"POST", "/tokenize", post_tokenize, true, true, false},
    Route{"POST", "/detokenize", post_detokenize, true, true, false},
};

const Route* find_route(std::string_view path) {
    if (path.starts_with(kModelPrefix)) path = "/v1/models";
    const auto* found = std::find_if(kRoutes.begin(), kRoutes.end(),
                                     [&](const Route& r) { return r.path == path; });
    return found == kRoutes.end() ? nullptr : &*found;
}

void refuse(Exchange& exchange, const ApiError& error) {
    exchange.reply(error_response(error));
}

bool refuse_wrong_method(const Route& route, Exchange& exchange) {
    const std::string_view method = exchange.request().method;
    const std::string_view wanted = route.method;
    if (method == wanted || (method == "HEAD" && wanted == "GET")) return false;
    HttpResponse response =
        error_response({ErrorKind::method_not_allowed,
                        fmt::format("{}: {}, expected {}", route.path, method, route.method),
                        {}});
    response.headers.emplace_back("Allow", wanted == "GET" ? "GET, HEAD" : std::string(wanted));
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
    const Route* route = find_route(request.path);
    if (route != nullptr) exchange->set_route(route->path);
    if (std::optional<ApiError> denied = check_access(
            context->options, request, route != nullptr && route->handler == get_health))
        return refuse(*exchange, *denied);
    if (route == nullptr) {
        return refuse(*exchange, {ErrorKind::unknown_route,
                                  fmt::format("{} {}: no such route", request.method,
                                              request.path.substr(0, 128)),
                                  {}});
    }
    if (refuse_wrong_method(*route, *exchange)) return;
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

std::string model_of_path(std::string_view path) {
    if (!path.starts_with(kModelPrefix)) return {};
    path.remove_prefix(kModelPrefix.size());
    std::string id;
    for (std::size_t i = 0; i < path.size(); ++i) {
        unsigned value = 0;
        const char* hex = path.data() + i + 1;
        if (path[i] == '%' && i + 2 < path.size() &&
            std::from_chars(hex, hex + 2, value, 16).ptr == hex + 2) {
            id += static_cast<char>(value);
            i += 2;
        } else {
            id += path[i];
        }
    }
    return id;
}

std::uint64_t process_start_seconds() {
    static const std::uint64_t start = unix_seconds();
    return start;
}

}  // namespace kvasir
