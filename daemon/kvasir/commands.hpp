// The commands of the shell client, one function each.
#pragma once

#include <string>
#include <string_view>

#include "daemon/kvasir/call.hpp"

namespace kvasir::client {

ExitCode run_completion(Context& context);
ExitCode run_chat(Context& context);
ExitCode show_health(Context& context);
ExitCode show_models(Context& context);
ExitCode show_metrics(Context& context);
ExitCode show_tokens(Context& context);
ExitCode show_sessions(Context& context);
ExitCode end_session(Context& context);
ExitCode save_session(Context& context);
ExitCode restore_session(Context& context);
ExitCode show_prefixes(Context& context);
ExitCode add_prefix(Context& context);
ExitCode remove_prefix(Context& context);
ExitCode show_cache(Context& context);
ExitCode run_top(Context& context);
ExitCode print_completions(Context& context);

/// The fields of a request body that run and chat share, without the braces:
/// `"max_tokens":200,...`.
std::string generation_fields(const GenerationOptions& options, bool stream);

/// Prometheus text as one JSON object, `{"name{label=\"x\"}": 1.5}`. Lines that are none are left
/// out.
std::string metrics_to_json(std::string_view text);

}  // namespace kvasir::client
