// POST /apply-template: a conversation as the text that the model would get, as llama-server has
// it.
#include <boost/json/object.hpp>
#include <utility>

#include "daemon/http/chat_ml.hpp"
#include "daemon/http/chat_text.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/json_writer.hpp"
#include "daemon/http/request_fields.hpp"

namespace kvasir {

namespace {

ApiResult<std::string> render_body(ServerContext& context, Exchange& exchange) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    const RequestBody body = exchange.take_body();
    KVASIR_TRY(boost::json::object object,
               parse_json_object(body.bytes(), context.options.limits.json_depth));
    CompletionRequest request;
    if (chat_writer(*model) == ChatWriter::model_template) {
        if (Outcome wrong = take_chat_variables(object, true, request)) return std::move(*wrong);
        return render_with_template(*model, *request.chat_variables);
    }
    const JsonFields fields(object);
    if (Outcome wrong = read_messages(fields, request)) return std::move(*wrong);
    KVASIR_TRY(const std::optional<bool> opens, fields.boolean("add_generation_prompt"));
    return chat_ml_text(request.messages,
                        opens.value_or(true) ? ChatEnd::assistant_turn : ChatEnd::open);
}

}  // namespace

void post_apply_template(ServerContext& context, const ExchangePtr& exchange) {
    const ApiResult<std::string> text = render_body(context, *exchange);
    if (text.has_error()) return exchange->reply(error_response(text.error()));
    HttpResponse response;
    JsonWriter(response.body).begin_object().field("prompt", *text).end_object();
    exchange->reply(std::move(response));
}

}  // namespace kvasir
