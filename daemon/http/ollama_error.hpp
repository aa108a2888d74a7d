// Errors as Ollama's clients read them.
#pragma once

#include <string_view>

#include "daemon/http/error_response.hpp"

namespace kvasir {

/// `{"error":"..."}`; status and headers are those of every door.
HttpResponse ollama_error_response(const ApiError& error);

/// In the shape that the clients of this path know: Ollama's below /api/, OpenAI's elsewhere.
HttpResponse error_response_at(std::string_view path, const ApiError& error);

}  // namespace kvasir
