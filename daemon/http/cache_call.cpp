#include "daemon/http/cache_call.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace kvasir {

namespace json = boost::json;

namespace {

/// The caller is known here, so what it may not do is forbidden: no key would help.
ApiError cache_error(const Error& error) {
    ApiError api = to_api_error(error);
    if (error.code == ErrorCode::unauthorized) api.kind = ErrorKind::forbidden;
    return api;
}

}  // namespace

void ask_cache(ServerContext& context, const ExchangePtr& exchange, CacheAnswer answer) {
    const Caller caller = caller_of(context.options, exchange->request());
    const Result<> posted =
        context.engine->post([exchange, caller, answer = std::move(answer)](CacheControl& cache) {
            if (exchange->gone()) return;
            Result<std::string> body = answer(cache, caller);
            if (body.has_error()) return exchange->reply(error_response(cache_error(body.error())));
            HttpResponse response;
            response.body = std::move(*body);
            exchange->reply(std::move(response));
        });
    if (posted.has_error()) exchange->reply(error_response(to_api_error(posted.error())));
}

void ask_snapshot(ServerContext& context, const ExchangePtr& exchange, const char* what,
                  void (CacheControl::*act)(const Caller&, const std::string&, SnapshotDone)) {
    const Caller caller = caller_of(context.options, exchange->request());
    const auto answer = [exchange, what](const Result<SnapshotInfo>& info) {
        if (info.has_error()) return exchange->reply(error_response(cache_error(info.error())));
        HttpResponse response;
        JsonWriter json(response.body);
        json.begin_object().field("id", info->id).field("object", "session");
        json.key(what).boolean(true).field("bytes", info->bytes).end_object();
        exchange->reply(std::move(response));
    };
    const Result<> posted =
        context.engine->post([exchange, caller, act, answer](CacheControl& cache) {
            if (!exchange->gone()) (cache.*act)(caller, exchange->request().path_id, answer);
        });
    if (posted.has_error()) exchange->reply(error_response(to_api_error(posted.error())));
}

ApiResult<json::object> read_cache_body(ServerContext& context, Exchange& exchange,
                                        std::initializer_list<std::string_view> known) {
    const RequestBody body = exchange.take_body();
    if (body.bytes().empty()) return json::object();
    KVASIR_TRY(json::object object,
               parse_json_object(body.bytes(), context.options.limits.json_depth));
    for (const auto& entry : object) {
        const std::string_view key(entry.key().data(), entry.key().size());
        if (std::ranges::find(known, key) == known.end()) {
            const std::string name = to_valid_utf8(key.substr(0, 64));
            return ApiError{ErrorKind::unsupported_parameter, name + ": no field of this request",
                            name};
        }
    }
    return object;
}

ApiResult<std::optional<TimeToLive>> read_ttl(const JsonFields& fields) {
    constexpr std::int64_t kMostSeconds = 10LL * 365 * 86'400;
    const json::value* value = fields.find("ttl");
    if (value == nullptr) return std::optional<TimeToLive>();
    if (!value->is_object()) {
        return field_error("ttl", fmt::format("{}, expected an object with idle_seconds, "
                                              "absolute_seconds or both",
                                              json_kind_name(*value)));
    }
    for (const auto& entry : value->get_object()) {
        const std::string_view key(entry.key().data(), entry.key().size());
        if (key != "idle_seconds" && key != "absolute_seconds")
            return field_error("ttl", "expected idle_seconds, absolute_seconds or both");
    }
    const JsonFields ttl(value->get_object(), "ttl.");
    KVASIR_TRY(const std::optional<std::int64_t> idle,
               ttl.integer("idle_seconds", 1, kMostSeconds));
    KVASIR_TRY(const std::optional<std::int64_t> absolute,
               ttl.integer("absolute_seconds", 1, kMostSeconds));
    TimeToLive read;
    if (idle) read.idle_ms = static_cast<std::uint64_t>(*idle) * 1000;
    if (absolute) read.absolute_ms = static_cast<std::uint64_t>(*absolute) * 1000;
    return std::optional<TimeToLive>(read);
}

void write_seconds(JsonWriter& json, std::string_view name, std::optional<std::uint64_t> ms) {
    json.key(name);
    ms ? json.number(static_cast<double>(*ms) / 1000) : json.null();
}

void write_prefix(JsonWriter& json, const PrefixInfo& info) {
    json.begin_object().field("id", info.name).field("object", "prefix");
    json.field("tokens", std::uint64_t{info.n_tokens});
    json.field("pages", std::uint64_t{info.n_pages}).field("bytes", info.bytes);
    json.field("hits", info.n_hits);
    write_seconds(json, "age_seconds", info.age_ms);
    write_seconds(json, "expires_in_seconds", info.expires_in_ms);
    json.key("common").boolean(info.is_common);
    json.end_object();
}

std::string deleted_json(const char* object, const std::string& id, const Freed& freed) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("id", id).field("object", object).key("deleted").boolean(true);
    json.field("freed_pages", std::uint64_t{freed.n_pages}).field("freed_bytes", freed.bytes);
    json.end_object();
    return body;
}

}  // namespace kvasir
