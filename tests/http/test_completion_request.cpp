#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/http/completion_request.hpp"
#include "tests/http/request_cases.hpp"

using namespace kvasir;
using namespace kvasir::testing;
namespace data = boost::unit_test::data;

namespace {

constexpr std::uint32_t kVocab = 4096;
const HttpLimits kLimits;

/// Of both routes.
const std::vector<Wrong> kWrongEverywhere{
    {R"("model":1)", "model"},
    {R"("max_tokens":0)", "max_tokens"},
    {R"("max_tokens":-1)", "max_tokens"},
    {R"("max_tokens":1.5)", "max_tokens"},
    {R"("max_tokens":"8")", "max_tokens"},
    {R"("max_tokens":4294967296)", "max_tokens"},
    {R"("max_tokens":18446744073709551615)", "max_tokens"},
    {R"("max_completion_tokens":0)", "max_completion_tokens"},
    {R"("temperature":-0.1)", "temperature"},
    {R"("temperature":2.1)", "temperature"},
    {R"("temperature":1e308)", "temperature"},
    {R"("temperature":"hot")", "temperature"},
    {R"("temperature":true)", "temperature"},
    {R"("top_p":-0.1)", "top_p"},
    {R"("top_p":1.1)", "top_p"},
    {R"("top_p":[])", "top_p"},
    {R"("top_k":-2)", "top_k"},
    {R"("top_k":1.0)", "top_k"},
    {R"("top_k":2147483648)", "top_k"},
    {R"("min_p":1.01)", "min_p"},
    {R"("min_p":{})", "min_p"},
    {R"("repetition_penalty":0)", "repetition_penalty"},
    {R"("repetition_penalty":11)", "repetition_penalty"},
    {R"("frequency_penalty":2.5)", "frequency_penalty"},
    {R"("presence_penalty":-2.5)", "presence_penalty"},
    {R"("presence_penalty":"x")", "presence_penalty"},
    {R"("seed":1.5)", "seed"},
    {R"("seed":9223372036854775808)", "seed"},
    {R"("seed":"1")", "seed"},
    {R"("logit_bias":[])", "logit_bias"},
    {R"("logit_bias":{"x":1})", "logit_bias"},
    {R"("logit_bias":{"-1":1})", "logit_bias"},
    {R"("logit_bias":{"1x":1})", "logit_bias"},
    {R"("logit_bias":{"":1})", "logit_bias"},
    {R"("logit_bias":{"4096":1})", "logit_bias"},
    {R"("logit_bias":{"99999999999":1})", "logit_bias"},
    {R"("logit_bias":{"1":101})", "logit_bias.1"},
    {R"("logit_bias":{"1":"x"})", "logit_bias.1"},
    {R"("stop":1)", "stop"},
    {R"("stop":{})", "stop"},
    {R"("stop":"")", "stop"},
    {R"("stop":["a",1])", "stop"},
    {R"("stop":["a",""])", "stop"},
    {R"("stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])",
     "stop"},
    {R"("stop":")" + std::string(513, 'a') + "\"", "stop"},
    {R"("n":0)", "n"},
    {R"("n":17)", "n"},
    {R"("n":"2")", "n"},
    {R"("ignore_eos":1)", "ignore_eos"},
    {R"("return_tokens":"yes")", "return_tokens"},
    {R"("stream":1)", "stream"},
    {R"("stream":"true")", "stream"},
    {R"("stream_options":{})", "stream_options"},
    {R"("stream":true,"stream_options":1)", "stream_options"},
    {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
    {R"("best_of":2)", "best_of"},
    {R"("best_of":"2")", "best_of"},
    // what would change the answer and is not there
    {R"("tools":[{"type":"function"}])", "tools"},
    {R"("tool_choice":"required")", "tool_choice"},
    {R"("tool_choice":{})", "tool_choice"},
    {R"("functions":[{}])", "functions"},
    {R"("response_format":"json")", "response_format"},
    {R"("response_format":{})", "response_format.type"},
    {R"("response_format":{"type":"xml"})", "response_format.type"},
    {R"("response_format":{"type":"json_schema"})", "response_format.json_schema"},
    {R"("response_format":{"type":"json_schema","json_schema":{}})",
     "response_format.json_schema.schema"},
    {R"("response_format":{"type":"json_schema","json_schema":{"strict":1,"schema":{}}})",
     "response_format.json_schema.strict"},
    {R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array","uniqueItems":true}}})",
     "response_format.json_schema.schema.uniqueItems"},
    {R"("response_format":{"type":"json_object","schema":{"properties":{"a":{"not":{}}}}})",
     "response_format.schema.properties.a.not"},
    {R"("json_schema":[])", "json_schema"},
    {R"("json_schema":{"anyOf":[{},{"pattern":"a(?=b)c"}]})", "json_schema.anyOf[1].pattern"},
    {R"("json_schema":{},"grammar":"root ::= [a]")", "grammar"},
    {R"("response_format":{"type":"json_object"},"json_schema":{})", "json_schema"},
    {R"("grammar":"root ::= x")", "grammar"},
    {R"("grammar":"root ::= root [a]")", "grammar"},
    {R"("grammar":1)", "grammar"},
    {R"("guided_json":{})", "guided_json"},
    {R"("suffix":"end")", "suffix"},
    {R"("modalities":["text","audio"])", "modalities"},
    {R"("audio":{})", "audio"},
    {R"("min_tokens":3)", "min_tokens"},
    {R"("stop_token_ids":[1])", "stop_token_ids"},
    {R"("use_beam_search":true)", "use_beam_search"},
    {R"("mirostat":2)", "mirostat"},
    {R"("typical_p":0.9)", "typical_p"},
    {R"("cache_salt":7)", "cache_salt"},
    {R"("priority":1)", "priority"},
    {R"("priority":"")", "priority"},
    {R"("priority":"high")", "priority"},
    {R"("service_tier":1)", "service_tier"},
    {R"("overflow":"slide")", "overflow"},
};

const std::vector<Wrong> kWrongCompletions{
    {R"("prompt":null)", "prompt"},
    {R"("prompt":1)", "prompt"},
    {R"("prompt":{})", "prompt"},
    {R"("prompt":true)", "prompt"},
    {R"("prompt":[1,"a"])", "prompt"},
    {R"("prompt":[1,1.5])", "prompt"},
    {R"("prompt":[1,-1])", "prompt"},
    {R"("prompt":[1,4096])", "prompt"},
    {R"("prompt":[1,18446744073709551615])", "prompt"},
    {R"("prompt":["a",1])", "prompt[1]"},
    {R"("prompt":["a",null])", "prompt[1]"},
    {R"("prompt":[[1],[4096]])", "prompt[1]"},
    {R"("prompt":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])",
     "prompt"},
    {R"("prompt":["a","b"],"n":9)", "n"},
    {R"("prompt":"a","echo":1)", "echo"},
    {R"("prompt":"a","echo":true,"logprobs":1)", "echo"},
    {R"("prompt":"a","logprobs":true)", "logprobs"},
    {R"("prompt":"a","logprobs":-1)", "logprobs"},
    {R"("prompt":"a","logprobs":21)", "logprobs"},
    {"", "prompt"},
};

const std::vector<Wrong> kWrongChats{
    {"", "messages"},
    {R"("messages":null)", "messages"},
    {R"("messages":[])", "messages"},
    {R"("messages":"hello")", "messages"},
    {R"("messages":["hello"])", "messages[0]"},
    {R"("messages":[{}])", "messages[0].role"},
    {R"("messages":[{"role":1,"content":"a"}])", "messages[0].role"},
    {R"("messages":[{"role":"robot","content":"a"}])", "messages[0].role"},
    {R"("messages":[{"role":"tool","content":"a"}])", "messages[0].role"},
    {R"("messages":[{"role":"user"}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":null}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":1}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":["a"]}])", "messages[0].content[0]"},
    {R"("messages":[{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
    {R"("messages":[{"role":"user","content":[{"type":"text","text":1}]}])",
     "messages[0].content[0].text"},
    {R"("messages":[{"role":"user","content":[{"type":1,"text":"a"}]}])",
     "messages[0].content[0].type"},
    {R"("messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
     "messages[0].content[0].type"},
    {R"("messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":[{}]}])",
     "messages[1].tool_calls"},
    {R"("messages":[{"role":"user","content":"a"}],"logprobs":1)", "logprobs"},
    {R"("messages":[{"role":"user","content":"a"}],"top_logprobs":1)", "top_logprobs"},
    {R"("messages":[{"role":"user","content":"a"}],"logprobs":true,"top_logprobs":21)",
     "top_logprobs"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(completion_request)

BOOST_DATA_TEST_CASE(a_wrong_field_is_named_on_both_routes, data::make(kWrongEverywhere), wrong) {
    check_refused(
        parse_completion_request("{\"prompt\":\"a\"," + wrong.field + "}", kLimits, kVocab),
        wrong.param);
    check_refused(
        parse_chat_request(R"({"messages":[{"role":"user","content":"a"}],)" + wrong.field + "}",
                           kLimits, kVocab),
        wrong.param);
}

BOOST_DATA_TEST_CASE(a_wrong_completion_is_named, data::make(kWrongCompletions), wrong) {
    check_refused(parse_completion_request("{" + wrong.field + "}", kLimits, kVocab), wrong.param);
}

BOOST_DATA_TEST_CASE(a_wrong_chat_is_named, data::make(kWrongChats), wrong) {
    check_refused(parse_chat_request("{" + wrong.field + "}", kLimits, kVocab), wrong.param);
}

BOOST_AUTO_TEST_CASE(null_is_absent) {
    const CompletionRequest request =
        parse_completion_request(
            R"({"prompt":"a","model":null,"max_tokens":null,"temperature":null,"top_p":null,"top_k":null,
                "seed":null,"logit_bias":null,"stop":null,"n":null,"stream":null,"stream_options":null,
                "echo":null,"logprobs":null,"best_of":null,"tools":null,"suffix":null,"user":null})",
            kLimits, kVocab)
            .value();
    BOOST_TEST(*request.max_tokens == 16U);
    BOOST_TEST(request.n == 1U);
    BOOST_TEST(request.sampling.temperature == 1.0F);
    BOOST_TEST(!request.sampling.seed.has_value());
    BOOST_TEST(!request.logprobs);
    BOOST_TEST(!request.stream);
}

BOOST_AUTO_TEST_CASE(unknown_fields_and_defaults_that_ask_for_nothing_are_accepted) {
    const auto parsed = parse_completion_request(
        R"({"prompt":"a","user":"me","metadata":{"a":1},"frobnicate":[1,2],"tools":[],"tool_choice":"auto",
            "response_format":{"type":"text"},"suffix":"","min_tokens":0,"typical_p":1.0,"mirostat":0,
            "modalities":["text"],"best_of":1,"use_beam_search":false,"grammar":"","overflow":"error",
            "session_id":"s","prompt_cache_key":"k"})",
        kLimits, kVocab);
    BOOST_TEST(parsed.has_value());
}

BOOST_AUTO_TEST_CASE(edges_of_ranges_are_inside) {
    const CompletionRequest request =
        parse_completion_request(
            R"({"prompt":["a",[1,2]],"max_tokens":4294967295,"temperature":0,"top_p":0,"top_k":-1,"min_p":1,
                "frequency_penalty":2,"presence_penalty":-2,"seed":-9223372036854775808,"n":8,
                "stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16"],"logprobs":20,
                "logit_bias":{"0":100,"4095":-100}})",
            kLimits, kVocab)
            .value();
    BOOST_TEST(*request.max_tokens == 4294967295U);
    BOOST_TEST(request.sampling.temperature == 0.0F);
    BOOST_TEST(request.sampling.top_p > 0.0F);  // the best token alone, not "off"
    BOOST_TEST(request.sampling.top_p < 1e-30F);
    BOOST_TEST(request.sampling.top_k == 0U);
    BOOST_TEST(request.stop.size() == 16U);
    BOOST_TEST(request.n_choices() == 16U);
    BOOST_TEST(request.n_top_logprobs == 20U);
    BOOST_TEST(*request.sampling.seed == 0x8000000000000000U);
    BOOST_TEST(
        (std::get<std::vector<TokenId>>(request.prompts.at(1)) == std::vector<TokenId>{1, 2}));
}

BOOST_AUTO_TEST_CASE(contents_may_come_in_parts) {
    const CompletionRequest request =
        parse_chat_request(
            R"({"messages":[{"role":"developer","content":"Be brief."},
                {"role":"user","name":"Ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
                {"role":"assistant","content":"","tool_calls":[]}],"max_completion_tokens":7})",
            kLimits, kVocab)
            .value();
    BOOST_REQUIRE(request.messages.size() == 3U);
    BOOST_TEST((request.messages[0].role == ChatRole::system));
    BOOST_TEST(request.messages[1].content == "ab");
    BOOST_TEST((request.messages[2].role == ChatRole::assistant));
    BOOST_TEST(*request.max_tokens == 7U);
}

BOOST_AUTO_TEST_CASE(depth_is_limited) {
    std::string deep = "1";
    for (int i = 0; i < 62; ++i) deep = "[" + deep + "]";
    BOOST_TEST(parse_completion_request(R"({"prompt":"a","x":)" + deep + "}", kLimits, kVocab)
                   .has_value());
    for (int i = 0; i < 3; ++i) deep = "[" + deep + "]";
    const auto parsed =
        parse_completion_request(R"({"prompt":"a","x":)" + deep + "}", kLimits, kVocab);
    BOOST_REQUIRE(parsed.has_error());
    BOOST_TEST(parsed.error().message.find("nested deeper than 64") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_truncation_of_a_good_body_is_an_error) {
    const std::string body =
        R"({"prompt":"é\u00e9","stop":["a"],"logit_bias":{"1":-1.5e0},"n":2,"stream":true})";
    BOOST_REQUIRE(parse_completion_request(body, kLimits, kVocab).has_value());
    for (std::size_t n = 0; n < body.size(); ++n)
        BOOST_TEST(parse_completion_request(body.substr(0, n), kLimits, kVocab).has_error());
}

BOOST_AUTO_TEST_CASE(priority_is_named_here_or_by_openais_tier) {
    const auto priority = [](const std::string& fields) {
        return parse_completion_request(R"({"prompt":"a")" + fields + "}", kLimits, 4096)
            .value()
            .priority;
    };
    for (const char* fields :
         {"", R"(,"priority":"interactive")", R"(,"priority":null)", R"(,"service_tier":"auto")",
          R"(,"service_tier":"priority")", R"(,"service_tier":"flex","priority":"interactive")"})
        BOOST_TEST((priority(fields) == Priority::interactive), fields);
    for (const char* fields : {R"(,"priority":"background")", R"(,"service_tier":"flex")",
                               R"(,"service_tier":"default","priority":"background")"})
        BOOST_TEST((priority(fields) == Priority::background), fields);
}

BOOST_AUTO_TEST_SUITE_END()
