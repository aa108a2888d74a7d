// The bytes of HTTP/1.1 responses: heads, and the chunks of a stream.
#pragma once

#include <string>
#include <string_view>

#include "daemon/http/exchange.hpp"

namespace kvasir {

struct HeadFacts {
    std::string_view request_id;
    bool keep_alive = false;
    bool is_http_1_0 = false;  // no chunks: a stream ends where the connection does
};

std::string response_head(const HttpResponse& response, const HeadFacts& facts);
std::string stream_head(std::string_view content_type, const HeadFacts& facts);
/// bytes as one chunk; nothing for no bytes, for an empty chunk would end the stream.
void append_stream_bytes(std::string& out, std::string_view bytes, bool is_http_1_0);
void append_stream_end(std::string& out, bool is_http_1_0);

}  // namespace kvasir
