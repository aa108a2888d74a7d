// POST /v1/responses: OpenAI's Responses, of which none is kept.
#include <utility>

#include "daemon/http/generation_door.hpp"
#include "daemon/http/responses_request.hpp"
#include "daemon/http/responses_writer.hpp"

namespace kvasir {

namespace {

ApiResult<ReadRequest> read_responses(std::string_view body, const HttpLimits& limits,
                                      const ModelInfo& model) {
    KVASIR_TRY(ResponsesRequest responses, parse_responses_request(body, limits, model));
    ReadRequest read;
    read.id = make_id("resp_");
    read.prompt_param = "input";
    read.request = std::move(responses.request);
    read.writer =
        std::make_unique<ResponsesWriter>(ResponsesWriter::Shape{.id = read.id,
                                                                 .created = unix_seconds(),
                                                                 .model = model.id,
                                                                 .echo = std::move(responses.echo)},
                                          AnswerParts::create(read.request, model));
    return read;
}

}  // namespace

void post_responses(ServerContext& context, const ExchangePtr& exchange) {
    generate(context, exchange, {read_responses, error_response});
}

}  // namespace kvasir
