// kvasir top --json: an object a look.
#include <boost/json.hpp>

#include "daemon/kvasir/top_report.hpp"

namespace kvasir::client {
namespace json = boost::json;
namespace {

std::uint64_t whole(double n) {
    return n >= 0 && n < 1e18 ? static_cast<std::uint64_t>(n) : 0;
}

json::array sessions_json(const std::vector<TopSession>& sessions) {
    json::array array;
    for (const TopSession& session : sessions) {
        json::object one{{"id", session.id},
                         {"running", session.is_running},
                         {"tokens", session.n_tokens},
                         {"pages", session.n_pages},
                         {"bytes", session.bytes},
                         {"requests", session.n_requests},
                         {"age_seconds", session.age_seconds},
                         {"idle_seconds", session.idle_seconds},
                         {"expires_in_seconds", nullptr},
                         {"tier", session.tier},
                         {"context", nullptr}};
        if (session.expires_in_seconds) one["expires_in_seconds"] = *session.expires_in_seconds;
        if (!session.context.empty()) one["context"] = session.context;
        array.push_back(std::move(one));
    }
    return array;
}

json::object pages_json(const TopPages& pages) {
    json::object object{{"total", pages.n_pages},
                        {"page_bytes", pages.page_bytes},
                        {"page_tokens", pages.page_tokens}};
    if (!pages.is_global) return object;
    object["leased"] = pages.n_leased;
    object["cached"] = pages.n_cached;
    object["claimed"] = pages.n_claimed;
    object["free"] = pages.n_free;
    object["host"] = pages.n_on_host;
    object["host_slots"] = pages.n_host_slots;
    object["disk_bytes"] = pages.disk_bytes;
    object["snapshots"] = pages.n_snapshots;
    return object;
}

json::object cache_json(const TopReport& report) {
    json::object misses;
    for (const auto& [reason, n] : report.counters->misses) misses[reason] = whole(n);
    return {{"hits", whole(report.counters->n_hits)},
            {"misses", std::move(misses)},
            {"tokens_asked", report.pages.n_tokens_asked},
            {"tokens_reused", report.pages.n_tokens_reused}};
}

}  // namespace

std::string top_json(const TopReport& report) {
    json::object object{
        {"time", whole(report.unix_seconds)}, {"status", report.status}, {"model", report.model}};
    if (!report.error.empty()) object["error"] = report.error;
    object["tokens_per_second"] = nullptr;
    if (report.rates) {
        object["tokens_per_second"] =
            json::object{{"prefill", report.rates->prefill_tokens_per_second},
                         {"decode", report.rates->generate_tokens_per_second}};
    }
    if (report.counters) {
        object["requests"] = {{"running", whole(report.counters->n_running)},
                              {"waiting", whole(report.counters->n_waiting)},
                              {"total", whole(report.counters->n_requests)}};
        object["cache"] = cache_json(report);
    }
    object["pages"] = pages_json(report.pages);
    object["sessions"] = sessions_json(report.sessions);
    return json::serialize(object);
}

}  // namespace kvasir::client
