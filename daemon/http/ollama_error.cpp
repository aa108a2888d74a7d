#include "daemon/http/ollama_error.hpp"

#include "daemon/http/json_writer.hpp"

namespace kvasir {

HttpResponse ollama_error_response(const ApiError& error) {
    HttpResponse response = error_response(error);
    response.body.clear();
    JsonWriter(response.body).begin_object().field("error", error.message).end_object();
    return response;
}

HttpResponse error_response_at(std::string_view path, const ApiError& error) {
    return path.starts_with("/api/") ? ollama_error_response(error) : error_response(error);
}

}  // namespace kvasir
