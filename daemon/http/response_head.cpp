#include "daemon/http/response_head.hpp"

#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <iterator>

#include "daemon/http/error_response.hpp"

namespace kvasir {

namespace {

std::string common_head(int status, std::string_view content_type, const HeadFacts& facts) {
    std::string head =
        fmt::format("HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S GMT}\r\nContent-Type: {}\r\n",
                    status, status_text(status), fmt::gmtime(std::time(nullptr)), content_type);
    if (!facts.request_id.empty())
        fmt::format_to(std::back_inserter(head), "X-Request-Id: {}\r\n", facts.request_id);
    if (!facts.keep_alive) {
        head += "Connection: close\r\n";
    } else if (facts.is_http_1_0) {
        head += "Connection: keep-alive\r\n";
    }
    return head;
}

}  // namespace

std::string response_head(const HttpResponse& response, const HeadFacts& facts) {
    std::string head = common_head(response.status, response.content_type, facts);
    for (const auto& [name, value] : response.headers)
        fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n\r\n", response.body.size());
    return head;
}

std::string stream_head(std::string_view content_type, const HeadFacts& facts) {
    std::string head = common_head(200, content_type, facts);
    head += "Cache-Control: no-cache\r\n";
    if (!facts.is_http_1_0) head += "Transfer-Encoding: chunked\r\n";
    head += "\r\n";
    return head;
}

void append_stream_bytes(std::string& out, std::string_view bytes, bool is_http_1_0) {
    if (bytes.empty()) return;
    if (!is_http_1_0) fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
    out += bytes;
    if (!is_http_1_0) out += "\r\n";
}

void append_stream_end(std::string& out, bool is_http_1_0) {
    if (!is_http_1_0) out += "0\r\n\r\n";
}

}  // namespace kvasir
