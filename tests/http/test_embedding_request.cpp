#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/http/embedding_request.hpp"
#include "tests/http/http_fixture.hpp"
#include "tests/http/request_cases.hpp"

using namespace kvasir;
using namespace kvasir::testing;
namespace data = boost::unit_test::data;

namespace {

const HttpLimits kLimits;

/// Of all three routes.
const std::vector<Wrong> kWrongEverywhere{
    {R"("model":1)", "model"},           {R"("model":[])", "model"},
    {R"("pooling":1)", "pooling"},       {R"("pooling":"max")", "pooling"},
    {R"("pooling":"")", "pooling"},      {R"("pooling":["mean"])", "pooling"},
    {R"("session_id":7)", "session_id"}, {R"("session_id":"")", "session_id"},
    {R"("context":[1,2])", "context"},   {R"("cache_salt":"a\u0001")", "cache_salt"},
    {R"("priority":0)", "priority"},     {R"("priority":"batch")", "priority"},
};

const std::vector<Wrong> kWrongOpenAi{
    {R"("input":null)", "input"},
    {R"("input":1)", "input"},
    {R"("input":true)", "input"},
    {R"("input":{"text":"a"})", "input"},
    {R"("input":[1.5])", "input"},
    {R"("input":[-1])", "input"},
    {R"("input":[4096])", "input"},
    {R"("input":[18446744073709551615])", "input"},
    {R"("input":[1,"a"])", "input"},
    {R"("input":["a",1])", "input[1]"},
    {R"("input":["a",null])", "input[1]"},
    {R"("input":[{"image":"aGk="}])", "input[0]"},
    {R"("input":[[1],[2,4096]])", "input[1]"},
    {R"("input":[[1],["a"]])", "input[1]"},
    {R"("input":[[[1]]])", "input[0]"},
    {R"("input":"a","encoding_format":"int8")", "encoding_format"},
    {R"("input":"a","encoding_format":1)", "encoding_format"},
    {R"("input":"a","encoding_format":"")", "encoding_format"},
    {R"("input":"a","dimensions":0)", "dimensions"},
    {R"("input":"a","dimensions":-1)", "dimensions"},
    {R"("input":"a","dimensions":9)", "dimensions"},
    {R"("input":"a","dimensions":1.5)", "dimensions"},
    {R"("input":"a","dimensions":"4")", "dimensions"},
    {R"("input":"a","dimensions":18446744073709551615)", "dimensions"},
    {R"("input":"a","user":1)", "user"},
    {R"("input":"a","stream":true)", "stream"},
    {R"("input":"a","truncate_prompt_tokens":10)", "truncate_prompt_tokens"},
    {R"("input":"a","input_type":"query")", "input_type"},
    {R"("input":"a","prompt_cache_key":"")", "prompt_cache_key"},
};

const std::vector<Wrong> kWrongOllama{
    {R"("input":1)", "input"},
    {R"("input":{})", "input"},
    {R"("input":[1,2])", "input[0]"},
    {R"("input":["a",["b"]])", "input[1]"},
    {R"("input":"a","truncate":"no")", "truncate"},
    {R"("input":"a","dimensions":-1)", "dimensions"},
    {R"("input":"a","dimensions":9)", "dimensions"},
    {R"("input":"a","keep_alive":[])", "keep_alive"},
    {R"("input":"a","options":"fast")", "options"},
    {R"("input":"a","options":{"num_ctx":513})", "options.num_ctx"},
    {R"("input":"a","images":["aGk="])", "images"},
};

const std::vector<Wrong> kWrongOlderOllama{
    {R"("prompt":1)", "prompt"},
    {R"("prompt":["a"])", "prompt"},
    {R"("prompt":"a","keep_alive":true)", "keep_alive"},
    {R"("prompt":"a","truncate":1)", "truncate"},
    {R"("prompt":"a","options":[])", "options"},
};

ApiResult<EmbeddingRequest> openai(const std::string& fields) {
    return parse_embeddings("{" + fields + "}", kLimits, *tales_model());
}
ApiResult<EmbeddingRequest> embed(const std::string& fields) {
    return parse_ollama_embed("{" + fields + "}", kLimits, *tales_model());
}
ApiResult<EmbeddingRequest> embeddings(const std::string& fields) {
    return parse_ollama_embeddings("{" + fields + "}", kLimits, *tales_model());
}

std::string repeated(const std::string& one, std::size_t n) {
    std::string all = one;
    for (std::size_t i = 1; i < n; ++i) all += "," + one;
    return all;
}

const std::string& text_at(const EmbeddingRequest& read, std::size_t i) {
    return std::get<std::string>(read.request.prompts.at(i));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding_request)

BOOST_DATA_TEST_CASE(a_wrong_field_is_named_on_every_route, data::make(kWrongEverywhere), wrong) {
    check_refused(openai(R"("input":"a",)" + wrong.field), wrong.param);
    check_refused(embed(R"("input":"a",)" + wrong.field), wrong.param);
    check_refused(embeddings(R"("prompt":"a",)" + wrong.field), wrong.param);
}

BOOST_DATA_TEST_CASE(openais_wrong_fields_are_named, data::make(kWrongOpenAi), wrong) {
    check_refused(openai(wrong.field), wrong.param);
}

BOOST_DATA_TEST_CASE(ollamas_wrong_fields_are_named, data::make(kWrongOllama), wrong) {
    check_refused(embed(wrong.field), wrong.param);
}

BOOST_DATA_TEST_CASE(the_older_routes_wrong_fields_are_named, data::make(kWrongOlderOllama),
                     wrong) {
    check_refused(embeddings(wrong.field), wrong.param);
}

BOOST_AUTO_TEST_CASE(an_absent_input_is_named_by_openais_route_and_nothing_to_ollamas) {
    check_refused(openai(""), "input");
    BOOST_TEST(embed("").value().request.prompts.empty());
    BOOST_TEST(embed(R"("input":"")").value().request.prompts.empty());
    BOOST_TEST(embed(R"("input":[])").value().request.prompts.empty());
    BOOST_TEST(embeddings("").value().request.prompts.empty());
    BOOST_TEST(embeddings(R"("prompt":"")").value().request.prompts.empty());
}

BOOST_AUTO_TEST_CASE(anything_in_any_field_is_taken_or_refused_with_400) {
    const auto check = check_taken_or_refused<EmbeddingRequest>;
    for (const std::string& value : kAnything) {
        for (const char* name :
             {"input", "prompt", "model", "pooling", "encoding_format", "dimensions", "user",
              "session_id", "prompt_cache_key", "context", "cache_salt", "stream", "truncate",
              "keep_alive", "options", "images"}) {
            const std::string fields = "\"" + std::string(name) + "\":" + value;
            const std::string input = name == std::string("input") ? "" : R"("input":"a",)";
            const std::string prompt = name == std::string("prompt") ? "" : R"("prompt":"a",)";
            check(openai(input + fields), fields);
            check(embed(input + fields), fields);
            check(embeddings(prompt + fields), fields);
        }
    }
}

BOOST_AUTO_TEST_CASE(bodies_that_are_no_object_are_refused) {
    for (const std::string body : {"", "{", "[]", "1", "\"x\"", "{\"input\":\"\xFF\"}"}) {
        BOOST_TEST(parse_embeddings(body, kLimits, *tales_model()).has_error());
        BOOST_TEST(parse_ollama_embed(body, kLimits, *tales_model()).has_error());
        BOOST_TEST(parse_ollama_embeddings(body, kLimits, *tales_model()).has_error());
    }
}

BOOST_AUTO_TEST_CASE(inputs_come_in_four_kinds) {
    BOOST_TEST(text_at(openai(R"("input":"a b")").value(), 0) == "a b");
    const EmbeddingRequest texts = openai(R"("input":["a","b"])").value();
    BOOST_TEST(texts.request.prompts.size() == 2U);
    BOOST_TEST(text_at(texts, 1) == "b");
    const auto ids_at = [](const EmbeddingRequest& read, std::size_t i) {
        return std::get<std::vector<TokenId>>(read.request.prompts.at(i));
    };
    const EmbeddingRequest ids = openai(R"("input":[5,6])").value();
    BOOST_TEST(ids.request.prompts.size() == 1U);
    BOOST_TEST(ids_at(ids, 0) == (std::vector<TokenId>{5, 6}), boost::test_tools::per_element());
    const EmbeddingRequest several = openai(R"("input":[[5],[6,7]])").value();
    BOOST_TEST(several.request.prompts.size() == 2U);
    BOOST_TEST(ids_at(several, 1) == (std::vector<TokenId>{6, 7}),
               boost::test_tools::per_element());
    BOOST_TEST(text_at(embed(R"("input":["a","b"])").value(), 1) == "b");
    BOOST_TEST(text_at(embeddings(R"("prompt":"a")").value(), 0) == "a");
}

BOOST_AUTO_TEST_CASE(defaults_are_each_apis_own_and_pooling_the_models) {
    const EmbeddingRequest read = openai(R"("input":"a")").value();
    BOOST_TEST(!read.is_base64);
    BOOST_TEST(read.n_values == 8U);
    BOOST_TEST(!read.request.truncates);
    BOOST_TEST(!read.request.stream);
    BOOST_TEST((read.request.pooling == Pooling::last));
    BOOST_TEST(embed(R"("input":"a")").value().request.truncates);
    BOOST_TEST(!embed(R"("input":"a","truncate":false)").value().request.truncates);
    BOOST_TEST(!embeddings(R"("prompt":"a")").value().request.truncates);
    ModelInfo model = *tales_model();
    model.pooling = Pooling::mean;
    BOOST_TEST((parse_embeddings(R"({"input":"a"})", kLimits, model).value().request.pooling ==
                Pooling::mean));
    BOOST_TEST((parse_embeddings(R"({"input":"a","pooling":"last"})", kLimits, model)
                    .value()
                    .request.pooling == Pooling::last));
}

BOOST_AUTO_TEST_CASE(fields_reach_the_request) {
    const EmbeddingRequest read =
        openai(R"("input":"a","model":"m","encoding_format":"base64","dimensions":3,"user":"u",
                  "pooling":"mean","session_id":"s","context":"c","cache_salt":"t","priority":"background")")
            .value();
    BOOST_TEST(read.is_base64);
    BOOST_TEST(read.n_values == 3U);
    BOOST_TEST((read.request.pooling == Pooling::mean));
    BOOST_TEST(read.request.session == "s");
    BOOST_TEST(read.request.context == "c");
    BOOST_TEST(read.request.cache_salt == "t");
    BOOST_TEST((read.request.priority == Priority::background));
    BOOST_TEST(openai(R"("input":"a","prompt_cache_key":"k")").value().request.session == "k");
    BOOST_TEST(embed(R"("input":"a","dimensions":2)").value().n_values == 2U);
    BOOST_TEST(embed(R"("input":"a","dimensions":0)").value().n_values == 8U);
    BOOST_TEST(openai(R"("input":"a","stream":false,"messages":null)").has_value());
}

BOOST_AUTO_TEST_CASE(inputs_and_values_of_a_request_are_limited) {
    const auto inputs = [](std::size_t n) { return "\"input\":[" + repeated("\"a\"", n) + "]"; };
    BOOST_TEST(openai(inputs(kLimits.n_inputs)).value().request.prompts.size() == 2048U);
    check_refused(openai(inputs(kLimits.n_inputs + 1)), "input");
    check_refused(embed(inputs(kLimits.n_inputs + 1)), "input");
    check_refused(openai("\"input\":[" + repeated("[1]", kLimits.n_inputs + 1) + "]"), "input");
    HttpLimits small;
    small.n_embedding_values = 20;
    const auto parse = [&](const std::string& fields) {
        return parse_embeddings("{" + fields + "}", small, *tales_model());
    };
    BOOST_TEST(parse(inputs(2)).has_value());
    check_refused(parse(inputs(3)), "input");
    BOOST_TEST(parse(inputs(5) + ",\"dimensions\":4").has_value());
    check_refused(parse_ollama_embed("{" + inputs(3) + "}", small, *tales_model()), "input");
}

BOOST_AUTO_TEST_SUITE_END()
