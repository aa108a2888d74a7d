// The "options" of Ollama's requests. Included by .cpp files alone, as request_fields.hpp.
#pragma once

#include "daemon/http/request_fields.hpp"

namespace kvasir {

/// Sampling, stop strings and max_tokens from `fields`' options, with Ollama's defaults where there
/// are none. Options of how Ollama runs a model are checked for their type alone; those that would
/// change the text and are not known here are refused.
Outcome read_ollama_options(const JsonFields& fields, const HttpLimits& limits,
                            const ModelInfo& model, CompletionRequest& request);

/// keep_alive, a duration: seconds, or text such as "5m". One model is loaded, and stays.
Outcome check_keep_alive(const JsonFields& fields);

}  // namespace kvasir
