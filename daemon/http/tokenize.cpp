// POST /tokenize and POST /detokenize, with llama-server's fields.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "daemon/http/completion_request.hpp"
#include "daemon/http/error_response.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/json_fields.hpp"
#include "daemon/http/json_writer.hpp"
#include "daemon/model/tokenizer.hpp"

namespace kvasir {

namespace json = boost::json;

namespace {

void write_piece(JsonWriter& writer, TokenId id, const std::string& piece) {
    writer.begin_object().field("id", static_cast<std::uint64_t>(id)).key("piece");
    if (to_valid_utf8(piece) == piece) {
        writer.string(piece);
    } else {
        writer.begin_array();
        for (const char byte : piece)
            writer.number(static_cast<std::uint64_t>(static_cast<unsigned char>(byte)));
        writer.end_array();
    }
    writer.end_object();
}

ApiResult<std::string> tokenize(const Tokenizer& tokenizer, const json::object& body) {
    const JsonFields fields(body);
    KVASIR_TRY(const std::optional<std::string_view> content, fields.string("content"));
    if (!content) return field_error("content", "missing");
    KVASIR_TRY(const std::optional<bool> add_special, fields.boolean("add_special"));
    KVASIR_TRY(const std::optional<bool> parse_special, fields.boolean("parse_special"));
    KVASIR_TRY(const std::optional<bool> with_pieces, fields.boolean("with_pieces"));
    std::vector<TokenId> ids =
        tokenizer.encode(*content, parse_special.value_or(true) ? Tokenizer::Special::parse
                                                                : Tokenizer::Special::ignore);
    if (add_special.value_or(false) && tokenizer.add_bos() && tokenizer.bos())
        ids.insert(ids.begin(), *tokenizer.bos());
    std::string out;
    JsonWriter writer(out);
    writer.begin_object().key("tokens").begin_array();
    for (const TokenId id : ids) {
        if (with_pieces.value_or(false)) {
            write_piece(writer, id, tokenizer.token_bytes(id, true));
        } else {
            writer.number(static_cast<std::uint64_t>(id));
        }
    }
    writer.end_array().end_object();
    return out;
}

ApiResult<std::string> detokenize(const Tokenizer& tokenizer, const json::object& body) {
    const json::value* tokens = JsonFields(body).find("tokens");
    if (tokens == nullptr) return field_error("tokens", "missing");
    if (!tokens->is_array()) {
        return field_error(
            "tokens", std::string(json_kind_name(*tokens)) + ", expected an array of token ids");
    }
    KVASIR_TRY(const std::vector<TokenId> ids,
               parse_token_ids(tokens->get_array(), "tokens", tokenizer.n_vocab()));
    std::string out;
    JsonWriter(out).begin_object().field("content", tokenizer.decode(ids, true)).end_object();
    return out;
}

using Convert = ApiResult<std::string> (*)(const Tokenizer&, const json::object&);

ApiResult<std::string> convert_body(ServerContext& context, Exchange& exchange, Convert convert) {
    const std::shared_ptr<const ModelInfo> model = context.engine->model();
    const RequestBody body = exchange.take_body();
    KVASIR_TRY(const json::object object,
               parse_json_object(body.bytes(), context.options.limits.json_depth));
    return convert(*model->tokenizer, object);
}

void answer(ServerContext& context, const ExchangePtr& exchange, Convert convert) {
    ApiResult<std::string> converted = convert_body(context, *exchange, convert);
    if (converted.has_error()) return exchange->reply(error_response(converted.error()));
    HttpResponse response;
    response.body = std::move(*converted);
    exchange->reply(std::move(response));
}

}  // namespace

void post_tokenize(ServerContext& context, const ExchangePtr& exchange) {
    answer(context, exchange, tokenize);
}

void post_detokenize(ServerContext& context, const ExchangePtr& exchange) {
    answer(context, exchange, detokenize);
}

}  // namespace kvasir
