#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/http/responses_request.hpp"
#include "tests/http/http_fixture.hpp"
#include "tests/http/request_cases.hpp"

using namespace kvasir;
using namespace kvasir::testing;
namespace data = boost::unit_test::data;

namespace {

const HttpLimits kLimits;

/// Beside a good input.
const std::vector<Wrong> kWrongFields{
    {R"("model":1)", "model"},
    {R"("instructions":1)", "instructions"},
    {R"("instructions":["a"])", "instructions"},
    {R"("max_output_tokens":0)", "max_output_tokens"},
    {R"("max_output_tokens":1.5)", "max_output_tokens"},
    {R"("max_output_tokens":"8")", "max_output_tokens"},
    {R"("max_output_tokens":4294967296)", "max_output_tokens"},
    {R"("temperature":"hot")", "temperature"},
    {R"("temperature":2.1)", "temperature"},
    {R"("top_p":{})", "top_p"},
    {R"("stream":"true")", "stream"},
    {R"("stream":true,"stream_options":1)", "stream_options"},
    {R"("previous_response_id":"resp_1")", "previous_response_id"},
    {R"("previous_response_id":7)", "previous_response_id"},
    {R"("conversation":"conv_1")", "conversation"},
    {R"("conversation":{"id":"conv_1"})", "conversation"},
    {R"("background":true)", "background"},
    {R"("prompt":{"id":"pmpt_1"})", "prompt"},
    {R"("store":"yes")", "store"},
    {R"("tools":[{"type":"function"}])", "tools"},
    {R"("tools":"x")", "tools"},
    {R"("tool_choice":"required")", "tool_choice"},
    {R"("tool_choice":{"type":"function"})", "tool_choice"},
    {R"("parallel_tool_calls":1)", "parallel_tool_calls"},
    {R"("max_tool_calls":3)", "max_tool_calls"},
    {R"("top_logprobs":5)", "top_logprobs"},
    {R"("include":"x")", "include"},
    {R"("include":[1])", "include"},
    {R"("include":["message.output_text.logprobs"])", "include"},
    {R"("truncation":"middle")", "truncation"},
    {R"("truncation":true)", "truncation"},
    {R"("text":1)", "text"},
    {R"("text":{"format":"json"})", "text.format"},
    {R"("text":{"format":{"type":"json_schema"}})", "text.format.schema"},
    {R"("text":{"format":{"type":"json_schema","schema":{"not":{}}}})", "text.format.schema.not"},
    {R"("text":{"format":{"type":"yaml"}})", "text.format.type"},
    {R"("text":{"format":{"type":1}})", "text.format.type"},
    {R"("text":{"verbosity":"low"})", "text.verbosity"},
    {R"("reasoning":"high")", "reasoning"},
    {R"("reasoning":{"effort":1})", "reasoning.effort"},
    {R"("reasoning":{"effort":"huge"})", "reasoning.effort"},
    {R"("reasoning":{"summary":"detailed"})", "reasoning.summary"},
    {R"("metadata":[])", "metadata"},
    {R"("metadata":{"a":1})", "metadata.a"},
    {R"("metadata":{"a":")" + std::string(513, 'b') + "\"}", "metadata.a"},
    {R"("metadata":{")" + std::string(65, 'a') + R"(":"b"})", "metadata"},
    {R"("prompt_cache_key":7)", "prompt_cache_key"},
    {R"("prompt_cache_key":"")", "prompt_cache_key"},
    {R"("user":7)", "user"},
    {R"("service_tier":7)", "service_tier"},
    {R"("n":2)", "n"},
    {R"("return_tokens":true)", "return_tokens"},
    {R"("seed":"1")", "seed"},
    {R"("stop":1)", "stop"},
    {R"("response_format":"json")", "response_format"},
};

const std::vector<Wrong> kWrongInputs{
    {"", "input"},
    {R"("input":null)", "input"},
    {R"("input":1)", "input"},
    {R"("input":{})", "input"},
    {R"("input":[])", "input"},
    {R"("input":["a"])", "input[0]"},
    {R"("input":[{}])", "input[0].role"},
    {R"("input":[{"role":1,"content":"a"}])", "input[0].role"},
    {R"("input":[{"role":"tool","content":"a"}])", "input[0].role"},
    {R"("input":[{"role":"user"}])", "input[0].content"},
    {R"("input":[{"role":"user","content":1}])", "input[0].content"},
    {R"("input":[{"role":"user","content":["a"]}])", "input[0].content[0]"},
    {R"("input":[{"role":"user","content":[{"type":1,"text":"a"}]}])", "input[0].content[0].type"},
    {R"("input":[{"role":"user","content":[{"type":"input_text"}]}])", "input[0].content[0].text"},
    {R"("input":[{"role":"user","content":[{"type":"input_text","text":1}]}])",
     "input[0].content[0].text"},
    {R"("input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"x"}]}])",
     "input[0].content[1].type"},
    {R"("input":[{"role":"user","content":"a"},{"type":"function_call_output","output":"x"}])",
     "input[1].type"},
    {R"("input":[{"type":"item_reference"}])", "input[0].id"},
    {R"("input":[{"type":"item_reference","id":7}])", "input[0].id"},
    {R"("input":[{"type":"computer_call","id":"x"}])", "input[0].type"},
    {R"("input":[{"type":7}])", "input[0].type"},
};

/// Of every kind, and of every size that could hurt.
ApiResult<ResponsesRequest> parse(const std::string& fields) {
    return parse_responses_request("{" + fields + "}", kLimits, *tales_model());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(responses_request)

BOOST_DATA_TEST_CASE(a_wrong_field_is_named, data::make(kWrongFields), wrong) {
    check_refused(parse(R"("input":"a",)" + wrong.field), wrong.param);
}

BOOST_DATA_TEST_CASE(a_wrong_input_is_named, data::make(kWrongInputs), wrong) {
    check_refused(parse(wrong.field), wrong.param);
}

BOOST_AUTO_TEST_CASE(anything_in_any_field_is_taken_or_refused_with_400) {
    const auto check = [](const std::string& fields) {
        check_taken_or_refused(parse(fields), fields);
    };
    for (const std::string& value : kAnything) {
        check("\"input\":" + value);
        check(R"("input":[)" + value + "]");
        for (const char* name : {"model",
                                 "instructions",
                                 "max_output_tokens",
                                 "temperature",
                                 "top_p",
                                 "stream",
                                 "stream_options",
                                 "previous_response_id",
                                 "conversation",
                                 "background",
                                 "prompt",
                                 "store",
                                 "tools",
                                 "tool_choice",
                                 "parallel_tool_calls",
                                 "max_tool_calls",
                                 "top_logprobs",
                                 "include",
                                 "truncation",
                                 "text",
                                 "reasoning",
                                 "metadata",
                                 "prompt_cache_key",
                                 "user",
                                 "service_tier",
                                 "priority",
                                 "seed",
                                 "stop",
                                 "n",
                                 "logit_bias",
                                 "session_id",
                                 "context",
                                 "cache_salt",
                                 "overflow"})
            check(R"("input":"a",")" + std::string(name) + "\":" + value);
        for (const char* name : {"type", "role", "content", "id", "status"})
            check(R"("input":[{"role":"user","content":"a",")" + std::string(name) + "\":" + value +
                  "}]");
        for (const char* name : {"type", "text"})
            check(R"("input":[{"role":"user","content":[{"type":"input_text","text":"a",")" +
                  std::string(name) + "\":" + value + "}]}]");
        for (const char* name : {"effort", "summary", "generate_summary"})
            check(R"("input":"a","reasoning":{")" + std::string(name) + "\":" + value + "}");
        for (const char* name : {"format", "verbosity"})
            check(R"("input":"a","text":{")" + std::string(name) + "\":" + value + "}");
    }
}

BOOST_AUTO_TEST_CASE(anything_in_tools_and_calls_is_taken_or_refused_with_400) {
    ModelInfo model = *tales_model();
    model.chat_template = "{{ messages | tojson }}{{ tools | tojson }}";
    const auto check = [&](const std::string& fields) {
        const auto parsed = parse_responses_request("{" + fields + "}", kLimits, model);
        BOOST_TEST((parsed.has_value() || http_status(parsed.error().kind) == 400), fields);
        if (parsed.has_error()) BOOST_TEST(!parsed.error().param.empty(), fields);
    };
    const std::string call =
        R"({"type":"function_call","call_id":"c","name":"f","arguments":"{}"})";
    for (const std::string& value : kAnything) {
        check(R"("input":"a","tools":)" + value);
        check(R"("input":"a","tools":[)" + value + "]");
        for (const char* name : {"type", "name", "description", "parameters", "strict"})
            check(R"("input":"a","tools":[{"type":"function","name":"f",")" + std::string(name) +
                  "\":" + value + R"(}],"tool_choice":"required")");
        check(R"("input":"a","tools":[{"type":"function","name":"f"}],"tool_choice":)" + value);
        for (const char* name : {"type", "call_id", "name", "arguments", "id", "status"})
            check(
                R"("input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}",")" +
                std::string(name) + "\":" + value + "}]");
        for (const char* name : {"call_id", "output"})
            check(R"("input":[)" + call + R"(,{"type":"function_call_output","call_id":"c",)" +
                  R"("output":"o",")" + name + "\":" + value + "}]");
        for (const char* name : {"content", "summary", "encrypted_content"})
            check(R"("input":["a",{"type":"reasoning",")" + std::string(name) + "\":" + value +
                  "}]");
    }
}

BOOST_AUTO_TEST_CASE(names_cannot_stand_for_more_than_could_be_sent) {
    const std::string item = R"({"type":"message","role":"assistant","content":")" +
                             std::string(std::size_t{1} << 20, 'x') + "\"}";
    const auto refer = [&](std::size_t n) {
        std::string items = R"({"role":"user","content":"a"})";
        for (std::size_t i = 0; i < n; ++i) items += R"(,{"type":"item_reference","id":"m"})";
        return parse_responses_request("{\"input\":[" + items + "]}", kLimits, *tales_model(),
                                       [&](std::string_view) { return std::optional(item); });
    };
    BOOST_TEST(refer(7).value().request.messages.size() == 8U);
    check_refused(refer(1000), "input[8].id");
}

BOOST_AUTO_TEST_CASE(thoughts_text_and_calls_that_follow_each_other_are_one_turn) {
    ModelInfo model = *tales_model();
    model.chat_template = "{{ messages }}";
    const auto messages_of = [&](const std::string& items) {
        const auto parsed = parse_responses_request("{\"input\":[" + items + "]}", kLimits, model);
        return boost::json::serialize(parsed.value().request.chat_variables->at("messages"));
    };
    const std::string thought =
        R"({"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"t"}]},)";
    const std::string call =
        R"({"type":"function_call","call_id":"c","name":"f","arguments":"{}"})";
    const std::string calls =
        R"("tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]})";
    const std::string text = R"({"role":"assistant","content":"x"},)";
    BOOST_TEST(messages_of(thought + text + call) ==
               R"([{"role":"assistant","content":"x","reasoning_content":"t",)" + calls + "]");
    BOOST_TEST(messages_of(call) == R"([{"role":"assistant","content":null,)" + calls + "]");
    BOOST_TEST(messages_of(text + text + call) ==
               R"([{"role":"assistant","content":"x"},{"role":"assistant","content":"x",)" + calls +
                   "]");
    BOOST_TEST(messages_of(call + "," + thought + R"({"role":"user","content":"u"})") ==
               R"([{"role":"assistant","content":null,)" + calls +
                   R"(,{"role":"assistant","content":null,"reasoning_content":"t"},)" +
                   R"({"role":"user","content":"u"}])");
}

BOOST_AUTO_TEST_CASE(bodies_that_are_no_object_are_refused) {
    for (const std::string body : {"", "{", "[]", "1", "{\"input\":\"\xFF\"}"})
        BOOST_TEST(parse_responses_request(body, kLimits, *tales_model()).has_error());
}

BOOST_AUTO_TEST_CASE(too_much_metadata_is_refused) {
    std::string entries;
    for (int i = 0; i < 17; ++i)
        entries += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":"x")";
    check_refused(parse(R"("input":"a","metadata":{)" + entries + "}"), "metadata");
}

BOOST_AUTO_TEST_CASE(input_and_instructions_are_a_conversation) {
    const CompletionRequest request =
        parse(R"("instructions":"be brief","input":[{"role":"developer","content":"d"},
                 {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
                 {"type":"message","id":"msg_1","status":"completed","role":"assistant",
                  "content":[{"type":"output_text","text":"c","annotations":[]}]},
                 {"role":"user","content":"e"}])")
            .value()
            .request;
    BOOST_TEST(request.is_chat);
    std::string said;
    for (const ChatMessage& message : request.messages)
        said += std::to_string(static_cast<int>(message.role)) + message.content + " ";
    BOOST_TEST(said == "0be brief 0d 1ab 2c 1e ");
    const CompletionRequest plain = parse(R"("input":"hello")").value().request;
    BOOST_REQUIRE(plain.messages.size() == 1U);
    BOOST_TEST(plain.messages[0].content == "hello");
    BOOST_TEST(!plain.max_tokens.has_value());
    BOOST_TEST(!plain.stream);
    BOOST_TEST(plain.sampling.temperature == 1.0F);
}

BOOST_AUTO_TEST_CASE(what_asks_for_nothing_is_taken) {
    const ResponsesRequest read =
        parse(
            R"("input":"a","store":true,"previous_response_id":null,"tools":[],"tool_choice":"auto",
                 "background":false,"include":["reasoning.encrypted_content"],"text":{"format":{"type":"text"},
                 "verbosity":"medium"},"reasoning":{"effort":null,"summary":"auto"},"truncation":"disabled",
                 "top_logprobs":0,"metadata":null,"user":"u","safety_identifier":"s","service_tier":"auto",
                 "prompt_cache_retention":"24h","stream":true,"stream_options":{"include_obfuscation":false})")
            .value();
    BOOST_TEST(read.request.stream);
    BOOST_TEST(!read.request.truncates);
}

BOOST_AUTO_TEST_CASE(fields_reach_the_request_and_the_echo) {
    const ResponsesRequest read =
        parse(R"("input":"a","max_output_tokens":9,"temperature":0.5,"top_p":0.25,"seed":3,
                 "prompt_cache_key":"k","cache_salt":"c","service_tier":"flex","truncation":"auto","metadata":{"a":"b"},
                 "instructions":"i","reasoning":{"effort":"low"})")
            .value();
    BOOST_TEST(*read.request.max_tokens == 9U);
    BOOST_TEST(read.request.sampling.temperature == 0.5F);
    BOOST_TEST(read.request.sampling.top_p == 0.25F);
    BOOST_TEST(*read.request.sampling.seed == 3U);
    BOOST_TEST(read.request.session == "k");
    BOOST_TEST(read.request.cache_salt == "c");
    BOOST_TEST((read.request.priority == Priority::background));
    BOOST_TEST((read.echo.priority == Priority::background));
    BOOST_TEST(read.request.truncates);
    BOOST_TEST(*read.echo.max_output_tokens == 9U);
    BOOST_TEST(*read.echo.prompt_cache_key == "k");
    BOOST_TEST(*read.echo.instructions == "i");
    BOOST_TEST(*read.echo.effort == "low");
    BOOST_TEST(read.echo.truncates);
    BOOST_REQUIRE(read.echo.metadata.size() == 1U);
    BOOST_TEST(read.echo.metadata[0].second == "b");
}

BOOST_AUTO_TEST_CASE(an_effort_goes_to_the_models_template) {
    ModelInfo model = *tales_model();
    model.chat_template = "{{ messages[0].content }}";
    const auto variables = [&](const std::string& effort) {
        return *parse_responses_request(R"({"input":"a","reasoning":{"effort":)" + effort + "}}",
                                        kLimits, model)
                    .value()
                    .request.chat_variables;
    };
    BOOST_TEST(variables("\"high\"").at("enable_thinking").as_bool());
    BOOST_TEST(variables("\"high\"").at("reasoning_effort").as_string() == "high");
    BOOST_TEST(!variables("\"none\"").at("enable_thinking").as_bool());
    BOOST_TEST(!variables("\"none\"").contains("reasoning_effort"));
    BOOST_TEST(!variables("null").contains("enable_thinking"));
}

BOOST_AUTO_TEST_SUITE_END()
