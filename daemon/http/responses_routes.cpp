// POST /v1/responses: OpenAI's Responses, of which none is kept.
#include <utility>

#include "daemon/http/access.hpp"
#include "daemon/http/generation_door.hpp"
#include "daemon/http/responses_request.hpp"
#include "daemon/http/responses_writer.hpp"

namespace kvasir {

namespace {

ItemMemory::Owner owner_of(const ServerContext& context, const HttpRequest& http,
                           const CompletionRequest& request) {
    return {.domain = caller_of(context.options, http).domain,
            .session = request.session.empty() ? http.session_id : request.session,
            .context = request.context};
}

ApiResult<ReadRequest> read_responses(ServerContext& context, const HttpRequest& http,
                                      std::string_view body, const HttpLimits& limits,
                                      const ModelInfo& model) {
    const std::uint32_t domain = caller_of(context.options, http).domain;
    KVASIR_TRY(ResponsesRequest responses,
               parse_responses_request(body, limits, model, [&](std::string_view id) {
                   return context.items->find(domain, id);
               }));
    ReadRequest read;
    read.id = make_id("resp_");
    read.prompt_param = "input";
    read.request = std::move(responses.request);
    ResponsesWriter::Shape shape{.id = read.id,
                                 .created = unix_seconds(),
                                 .model = model.id,
                                 .echo = std::move(responses.echo),
                                 .remember = {}};
    if (responses.keeps_items) {
        shape.remember = [items = context.items, owner = owner_of(context, http, read.request)](
                             std::string id, std::string item) {
            items->remember(owner, std::move(id), std::move(item));
        };
    }
    read.writer = std::make_unique<ResponsesWriter>(std::move(shape),
                                                    AnswerParts::create(read.request, model));
    return read;
}

}  // namespace

void post_responses(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange,
             {[&](std::string_view body, const HttpLimits& limits, const ModelInfo& model) {
                  return read_responses(context, exchange->request(), body, limits, model);
              },
              error_response});
}

}  // namespace kvasir
