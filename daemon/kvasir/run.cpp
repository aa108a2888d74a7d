// kvasir run: one completion.
#include <boost/json.hpp>
#include <utility>

#include "daemon/kvasir/commands.hpp"

namespace kvasir::client {
namespace json = boost::json;

std::string generation_fields(const GenerationOptions& options, bool stream) {
    json::object fields;
    fields["max_tokens"] = options.max_tokens;
    if (options.temperature) fields["temperature"] = *options.temperature;
    if (options.top_p) fields["top_p"] = *options.top_p;
    if (options.top_k) fields["top_k"] = *options.top_k;
    if (options.min_p) fields["min_p"] = *options.min_p;
    if (options.repetition_penalty) fields["repetition_penalty"] = *options.repetition_penalty;
    if (options.seed) fields["seed"] = *options.seed;
    if (!options.stop.empty()) {
        json::array& stops = fields["stop"].emplace_array();
        for (const std::string& stop : options.stop) stops.emplace_back(stop);
    }
    if (!options.model.empty()) fields["model"] = options.model;
    if (!options.session.empty()) fields["session_id"] = options.session;
    if (options.background) fields["priority"] = "background";
    fields["stream"] = stream;
    if (stream) fields["stream_options"] = {{"include_usage", true}};
    const std::string object = json::serialize(fields);
    return object.substr(1, object.size() - 2);
}

ExitCode run_completion(Context& context) {
    Options& options = context.options;
    if (!options.text) {
        auto input = read_standard_input(context);
        if (context.interrupts.take()) return ExitCode::cancelled;
        if (input.has_error()) {
            print_error(context, input.error().message);
            return ExitCode::failed;
        }
        // The newline that echo and editors add is not meant as part of the prompt.
        if (input->ends_with('\n')) input->pop_back();
        options.text = std::move(*input);
    }
    const std::string body = "{\"prompt\":" + json::serialize(json::string(*options.text)) + "," +
                             generation_fields(options.generation, !options.json) + "}";
    if (options.json) {
        const CallResult result = call(context, {"POST", "/v1/completions", body});
        if (result.code != ExitCode::ok) return result.code;
        (void)context.out.write(result.body);
        if (context.out.in_line()) (void)context.out.write("\n");
        return output_status(context);
    }
    if (options.echo) (void)context.out.write(*options.text);
    const GenerationResult result = generate(context, "/v1/completions", body);
    const bool wrote = context.out.in_line() || !result.text.empty();
    if (wrote && context.out.in_line()) (void)context.out.write("\n");
    if (options.stats && result.code == ExitCode::ok) {
        (void)context.err.write_styled("2", describe(result) + "\n");
    }
    return result.code == ExitCode::ok ? output_status(context) : result.code;
}

}  // namespace kvasir::client
