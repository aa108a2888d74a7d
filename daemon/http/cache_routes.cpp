// /v1/sessions, /v1/contexts and /v1/cache: who keeps pages, and how many.
#include <utility>

#include "daemon/http/cache_call.hpp"

namespace kvasir {

namespace {

void write_session(JsonWriter& json, const SessionInfo& info) {
    json.begin_object().field("id", info.id).field("object", "session").key("context");
    info.context.empty() ? json.null() : json.string(info.context);
    write_seconds(json, "age_seconds", info.age_ms);
    write_seconds(json, "idle_seconds", info.idle_ms);
    write_seconds(json, "expires_in_seconds", info.expires_in_ms);
    json.field("branches", std::uint64_t{info.n_branches});
    json.field("tokens", std::uint64_t{info.n_tokens});
    json.field("pages", std::uint64_t{info.n_pages});
    json.field("shared_pages", std::uint64_t{info.n_shared_pages}).field("bytes", info.bytes);
    json.field("requests", info.n_requests).field("cached_tokens", info.n_cached_tokens);
    json.key("running").boolean(info.is_running).field("tier", info.tier);
    json.key("saved").boolean(info.is_saved);
    json.end_object();
}

std::string session_json(const SessionInfo& info) {
    std::string body;
    JsonWriter json(body);
    write_session(json, info);
    return body;
}

std::string report_json(const CacheReport& report, bool is_administrator) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("object", "cache");
    json.field("page_tokens", std::uint64_t{report.page_tokens});
    json.field("page_bytes", report.page_bytes);
    json.field("pages", std::uint64_t{report.n_pages});
    json.field("bytes", report.n_pages * report.page_bytes);
    json.field("sessions", std::uint64_t{report.n_sessions});
    json.field("prefixes", std::uint64_t{report.n_prefixes});
    if (is_administrator) {
        json.field("free_pages", std::uint64_t{report.n_free});
        json.field("free_bytes", report.n_free * report.page_bytes);
        json.field("leased_pages", std::uint64_t{report.n_leased});
        json.field("cached_pages", std::uint64_t{report.n_cached});
        json.field("claimed_pages", std::uint64_t{report.n_claimed});
        json.field("open_tails", std::uint64_t{report.n_open_tails});
        json.field("host_pages", std::uint64_t{report.n_on_host});
        json.field("host_slots", std::uint64_t{report.n_host_slots});
        json.field("disk_bytes", report.disk_bytes).field("snapshots", report.n_snapshots);
        json.field("hits", report.n_hits).field("misses", report.n_misses);
        json.field("tokens_asked", report.n_tokens_asked);
        json.field("tokens_reused", report.n_tokens_reused);
        json.key("domains").begin_array();
        for (const CacheReport::Domain& one : report.domains) {
            json.begin_object().field("domain", one.name);
            json.field("pages", std::uint64_t{one.n_pages});
            json.field("bytes", one.n_pages * report.page_bytes);
            json.field("leased_pages", std::uint64_t{one.n_leased});
            json.field("host_pages", std::uint64_t{one.n_on_host});
            json.field("reserve_bytes", one.n_kept * report.page_bytes).key("cap_bytes");
            one.n_most ? json.number(*one.n_most * report.page_bytes) : json.null();
            json.end_object();
        }
        json.end_array();
    }
    json.end_object();
    return body;
}

struct NewSession {
    SessionOptions options;
    bool is_bound = false;
};

ApiResult<NewSession> read_new_session(ServerContext& context, Exchange& exchange) {
    KVASIR_TRY(const boost::json::object body,
               read_cache_body(context, exchange, {"id", "ttl", "context", "bind"}));
    const JsonFields fields(body);
    NewSession session;
    if (Outcome wrong = read_name(fields, "id", session.options.id)) return std::move(*wrong);
    if (Outcome wrong = read_name(fields, "context", session.options.context))
        return std::move(*wrong);
    KVASIR_TRY(const std::optional<TimeToLive> ttl, read_ttl(fields));
    if (ttl) session.options.ttl = *ttl;
    KVASIR_TRY(const std::optional<std::string_view> bind, fields.string("bind"));
    if (bind && *bind != "connection")
        return field_error("bind", "expected \"connection\", or nothing");
    session.is_bound = bind.has_value();
    if (session.options.id.empty()) session.options.id = make_id("sess_");
    return session;
}

ApiResult<SessionPatch> read_patch(ServerContext& context, Exchange& exchange) {
    KVASIR_TRY(const boost::json::object body,
               read_cache_body(context, exchange, {"ttl", "context", "truncate_to"}));
    const JsonFields fields(body);
    SessionPatch patch;
    KVASIR_TRY(patch.ttl, read_ttl(fields));
    std::string name;
    if (Outcome wrong = read_name(fields, "context", name)) return std::move(*wrong);
    if (!name.empty()) patch.context = name;
    if (Outcome wrong = store(fields.integer("truncate_to", 0, 0xffffffffLL), patch.truncate_to))
        return std::move(*wrong);
    return patch;
}

}  // namespace

void post_session(ServerContext& context, const ExchangePtr& exchange) {
    ApiResult<NewSession> session = read_new_session(context, *exchange);
    if (session.has_error()) return exchange->reply(error_response(session.error()));
    ask_cache(
        context, exchange,
        [session = std::move(*session), bound = exchange->request().bound_sessions](
            CacheControl& cache, const Caller& caller) -> Result<std::string> {
            KVASIR_TRY(const SessionInfo info, cache.create_session(caller, session.options));
            if (session.is_bound && (bound == nullptr || !bound->add({caller.domain, info.id})))
                (void)cache.end_session(caller, info.id);  // it closed meanwhile
            return session_json(info);
        });
}

void get_sessions(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [](CacheControl& cache, const Caller& caller) -> Result<std::string> {
                  return list_json(cache.sessions(caller), write_session);
              });
}

void get_session(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [id = exchange->request().path_id](CacheControl& cache,
                                                 const Caller& caller) -> Result<std::string> {
                  KVASIR_TRY(const SessionInfo info, cache.session(caller, id));
                  return session_json(info);
              });
}

void patch_session(ServerContext& context, const ExchangePtr& exchange) {
    ApiResult<SessionPatch> patch = read_patch(context, *exchange);
    if (patch.has_error()) return exchange->reply(error_response(patch.error()));
    ask_cache(context, exchange,
              [id = exchange->request().path_id, patch = std::move(*patch)](
                  CacheControl& cache, const Caller& caller) -> Result<std::string> {
                  KVASIR_TRY(const SessionInfo info, cache.patch_session(caller, id, patch));
                  return session_json(info);
              });
}

void delete_session(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [id = exchange->request().path_id](CacheControl& cache,
                                                 const Caller& caller) -> Result<std::string> {
                  KVASIR_TRY(const Freed freed, cache.end_session(caller, id));
                  return deleted_json("session", id, freed);
              });
}

void post_session_save(ServerContext& context, const ExchangePtr& exchange) {
    ask_snapshot(context, exchange, "saved", &CacheControl::save_session);
}

void post_session_restore(ServerContext& context, const ExchangePtr& exchange) {
    ask_snapshot(context, exchange, "restored", &CacheControl::restore_session);
}

void post_context_end(ServerContext& context, const ExchangePtr& exchange) {
    const HttpRequest& http = exchange->request();
    // Also where no session or nameless request is in it any longer.
    context.items->forget_context(caller_of(context.options, http).domain, http.path_id);
    ask_cache(context, exchange,
              [id = exchange->request().path_id](CacheControl& cache,
                                                 const Caller& caller) -> Result<std::string> {
                  return deleted_json("context", id, cache.end_context(caller, id));
              });
}

void get_cache(ServerContext& context, const ExchangePtr& exchange) {
    ask_cache(context, exchange,
              [](CacheControl& cache, const Caller& caller) -> Result<std::string> {
                  return report_json(cache.report(caller), caller.is_administrator);
              });
}

void post_cache_evict(ServerContext& context, const ExchangePtr& exchange) {
    const auto read = [&]() -> ApiResult<std::optional<std::uint32_t>> {
        KVASIR_TRY(const boost::json::object body, read_cache_body(context, *exchange, {"pages"}));
        std::optional<std::uint32_t> n_pages;
        if (Outcome wrong = store(JsonFields(body).integer("pages", 0, 0xffffffffLL), n_pages))
            return std::move(*wrong);
        return n_pages;
    };
    const ApiResult<std::optional<std::uint32_t>> n_pages = read();
    if (n_pages.has_error()) return exchange->reply(error_response(n_pages.error()));
    ask_cache(
        context, exchange,
        [n_pages = *n_pages](CacheControl& cache, const Caller& caller) -> Result<std::string> {
            const Freed freed = cache.evict(caller, n_pages);
            std::string body;
            JsonWriter json(body);
            json.begin_object().field("object", "eviction");
            json.field("freed_pages", std::uint64_t{freed.n_pages});
            json.field("freed_bytes", freed.bytes).end_object();
            return body;
        });
}

}  // namespace kvasir
