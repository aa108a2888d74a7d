// What the handlers of the cache's routes share: bodies, and questions to the engine's thread.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include "daemon/engine/cache_control.hpp"
#include "daemon/http/access.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/json_fields.hpp"
#include "daemon/http/json_writer.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

/// Writes an answer's body, or says what is wrong.
using CacheAnswer = std::function<Result<std::string>(CacheControl& cache, const Caller& caller)>;

/// Asks between two steps; the exchange is answered from there.
void ask_cache(ServerContext& context, const ExchangePtr& exchange, CacheAnswer answer);

/// The session of the path goes to disk or comes back; answered when it has.
void ask_snapshot(ServerContext& context, const ExchangePtr& exchange, const char* what,
                  void (CacheControl::*act)(const Caller&, const std::string&, SnapshotDone));

/// The request's JSON object; an empty body is an empty object. Other fields than those known are
/// an error: what is not understood would not be done.
ApiResult<boost::json::object> read_cache_body(ServerContext& context, Exchange& exchange,
                                               std::initializer_list<std::string_view> known);

/// {"idle_seconds": n, "absolute_seconds": n} under "ttl", either or both; nullopt: no ttl.
ApiResult<std::optional<TimeToLive>> read_ttl(const JsonFields& fields);

void write_prefix(JsonWriter& json, const PrefixInfo& info);
/// {"object": "list", "data": [...]}
template <class Info>
std::string list_json(const std::vector<Info>& list, void (*write)(JsonWriter&, const Info&)) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("object", "list").key("data").begin_array();
    for (const Info& info : list) write(json, info);
    json.end_array().end_object();
    return body;
}
std::string deleted_json(const char* object, const std::string& id, const Freed& freed);
/// A member in seconds, null where absent.
void write_seconds(JsonWriter& json, std::string_view name, std::optional<std::uint64_t> ms);

}  // namespace kvasir
