#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/http/ollama_request.hpp"
#include "tests/http/http_fixture.hpp"
#include "tests/http/request_cases.hpp"

using namespace kvasir;
using namespace kvasir::testing;
namespace data = boost::unit_test::data;

namespace {

const HttpLimits kLimits;

/// Of both routes.
const std::vector<Wrong> kWrongEverywhere{
    {R"("model":1)", "model"},
    {R"("model":{})", "model"},
    {R"("stream":1)", "stream"},
    {R"("stream":"no")", "stream"},
    {R"("keep_alive":true)", "keep_alive"},
    {R"("keep_alive":[5])", "keep_alive"},
    {R"("format":"yaml")", "format"},
    {R"("format":{"type":"object","not":{}})", "format.not"},
    {R"("format":7)", "format"},
    {R"("tools":[{"type":"function"}])", "tools"},
    {R"("tools":"x")", "tools"},
    {R"("images":["aGk="])", "images"},
    {R"("suffix":"end")", "suffix"},
    {R"("template":"{{ .Prompt }}")", "template"},
    {R"("logprobs":true)", "logprobs"},
    {R"("top_logprobs":3)", "top_logprobs"},
    {R"("width":512)", "width"},
    {R"("think":1)", "think"},
    {R"("think":"very")", "think"},
    {R"("think":["high"])", "think"},
    {R"("truncate":"yes")", "truncate"},
    {R"("shift":0)", "shift"},
    {R"("shift":true)", "shift"},  // this model has no window
    {R"("session_id":7)", "session_id"},
    {R"("session_id":"a\u0001")", "session_id"},
    {R"("cache_salt":{})", "cache_salt"},
    {R"("priority":"low")", "priority"},
    {R"("options":[])", "options"},
    {R"("options":"temperature=1")", "options"},
    {R"("options":{"temperature":"hot"})", "options.temperature"},
    {R"("options":{"temperature":-1})", "options.temperature"},
    {R"("options":{"temperature":1e308})", "options.temperature"},
    {R"("options":{"top_k":-2})", "options.top_k"},
    {R"("options":{"top_k":1.5})", "options.top_k"},
    {R"("options":{"top_k":2147483648})", "options.top_k"},
    {R"("options":{"top_p":[]})", "options.top_p"},
    {R"("options":{"top_p":1.1})", "options.top_p"},
    {R"("options":{"min_p":2})", "options.min_p"},
    {R"("options":{"seed":0.5})", "options.seed"},
    {R"("options":{"seed":9223372036854775808})", "options.seed"},
    {R"("options":{"num_predict":0})", "options.num_predict"},
    {R"("options":{"num_predict":-3})", "options.num_predict"},
    {R"("options":{"num_predict":"8"})", "options.num_predict"},
    {R"("options":{"num_predict":99999999999})", "options.num_predict"},
    {R"("options":{"num_ctx":513})", "options.num_ctx"},
    {R"("options":{"num_ctx":0})", "options.num_ctx"},
    {R"("options":{"num_ctx":{}})", "options.num_ctx"},
    {R"("options":{"stop":1})", "options.stop"},
    {R"("options":{"stop":[1]})", "options.stop"},
    {R"("options":{"stop":[""]})", "options.stop"},
    {R"("options":{"repeat_penalty":0})", "options.repeat_penalty"},
    {R"("options":{"repeat_penalty":"1"})", "options.repeat_penalty"},
    {R"("options":{"presence_penalty":3})", "options.presence_penalty"},
    {R"("options":{"frequency_penalty":false})", "options.frequency_penalty"},
    {R"("options":{"repeat_last_n":-2})", "options.repeat_last_n"},
    {R"("options":{"repeat_penalty":1.1,"repeat_last_n":64})", "options.repeat_last_n"},
    {R"("options":{"mirostat":1})", "options.mirostat"},
    {R"("options":{"mirostat":"off"})", "options.mirostat"},
    {R"("options":{"typical_p":0.7})", "options.typical_p"},
    {R"("options":{"tfs_z":2})", "options.tfs_z"},
    {R"("options":{"num_gpu":"all"})", "options.num_gpu"},
    {R"("options":{"use_mmap":1})", "options.use_mmap"},
    {R"("options":{"mirostat_tau":"x"})", "options.mirostat_tau"},
};

const std::vector<Wrong> kWrongChats{
    {R"("messages":"hello")", "messages"},
    {R"("messages":{})", "messages"},
    {R"("messages":["hello"])", "messages[0]"},
    {R"("messages":[{}])", "messages[0].role"},
    {R"("messages":[{"role":1}])", "messages[0].role"},
    {R"("messages":[{"role":"robot","content":"a"}])", "messages[0].role"},
    {R"("messages":[{"role":"tool","content":"a"}])", "messages[0].role"},
    {R"("messages":[{"role":"user","content":1}])", "messages[0].content"},
    {R"("messages":[{"role":"user","content":[{"type":"text","text":"a"}]}])",
     "messages[0].content"},
    {R"("messages":[{"role":"user","content":"a"},{"role":"user","images":["aGk="]}])",
     "messages[1].images"},
    {R"("messages":[{"role":"assistant","tool_calls":[{}]}])",
     "messages[0].tool_calls[0].function"},
    {R"("messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}])",
     "messages[0].tool_calls"},  // this model has no template to write them
    {R"("messages":[{"role":"assistant","thinking":[]}])", "messages[0].thinking"},
};

const std::vector<Wrong> kWrongGenerates{
    {R"("prompt":1)", "prompt"},
    {R"("prompt":["a"])", "prompt"},
    {R"("prompt":"a","system":{})", "system"},
    {R"("prompt":"a","raw":"yes")", "raw"},
    {R"("prompt":"a","raw":true,"system":"b")", "system"},
    {R"("prompt":"a","raw":true,"context":[1])", "context"},
    {R"("prompt":"a","context":"1 2 3")", "context"},
    {R"("prompt":"a","context":[1,"2"])", "context"},
    {R"("prompt":"a","context":[-1])", "context"},
    {R"("prompt":"a","context":[4096])", "context"},
    {R"("prompt":"a","context":[18446744073709551615])", "context"},
};

/// Of every kind, and of every size that could hurt.
ApiResult<OllamaRequest> chat(const std::string& fields) {
    return parse_ollama_chat("{" + fields + "}", kLimits, *tales_model());
}
ApiResult<OllamaRequest> generate(const std::string& fields) {
    return parse_ollama_generate("{" + fields + "}", kLimits, *tales_model());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ollama_request)

BOOST_DATA_TEST_CASE(a_wrong_field_is_named_on_both_routes, data::make(kWrongEverywhere), wrong) {
    check_refused(generate(R"("prompt":"a",)" + wrong.field), wrong.param);
    check_refused(chat(R"("messages":[{"role":"user","content":"a"}],)" + wrong.field),
                  wrong.param);
}

BOOST_DATA_TEST_CASE(a_wrong_chat_is_named, data::make(kWrongChats), wrong) {
    check_refused(chat(wrong.field), wrong.param);
}

BOOST_DATA_TEST_CASE(a_wrong_prompt_is_named, data::make(kWrongGenerates), wrong) {
    check_refused(generate(wrong.field), wrong.param);
}

BOOST_AUTO_TEST_CASE(anything_in_any_field_is_taken_or_refused_with_400) {
    const auto check = check_taken_or_refused<OllamaRequest>;
    for (const std::string& value : kAnything) {
        for (const char* name :
             {"model",    "prompt",   "suffix", "images",     "format",     "options",   "system",
              "template", "stream",   "raw",    "keep_alive", "context",    "think",     "messages",
              "tools",    "truncate", "shift",  "logprobs",   "session_id", "cache_salt"}) {
            const std::string fields = "\"" + std::string(name) + "\":" + value;
            check(generate((name == std::string("prompt") ? "" : R"("prompt":"a",)") + fields),
                  fields);
            check(chat((name == std::string("messages")
                            ? ""
                            : R"("messages":[{"role":"user","content":"a"}],)") +
                       fields),
                  fields);
        }
        for (const char* name : {"num_keep",
                                 "seed",
                                 "num_predict",
                                 "top_k",
                                 "top_p",
                                 "min_p",
                                 "tfs_z",
                                 "typical_p",
                                 "repeat_last_n",
                                 "temperature",
                                 "repeat_penalty",
                                 "presence_penalty",
                                 "frequency_penalty",
                                 "mirostat",
                                 "mirostat_tau",
                                 "penalize_newline",
                                 "stop",
                                 "num_ctx",
                                 "num_gpu",
                                 "use_mmap",
                                 "num_thread"}) {
            const std::string fields =
                R"("prompt":"a","options":{")" + std::string(name) + "\":" + value + "}";
            check(generate(fields), fields);
        }
        for (const char* name : {"role", "content", "images", "tool_calls", "thinking"}) {
            const std::string role = name == std::string("role") ? "" : R"("role":"user",)";
            const std::string fields =
                R"("messages":[{)" + role + "\"" + name + "\":" + value + "}]";
            check(chat(fields), fields);
        }
    }
}

BOOST_AUTO_TEST_CASE(anything_in_tools_and_calls_is_taken_or_refused_with_400) {
    ModelInfo model = *tales_model();
    model.chat_template = "{{ messages | tojson }}{{ tools | tojson }}";
    const auto check = [&](const std::string& fields) {
        const auto parsed = parse_ollama_chat("{" + fields + "}", kLimits, model);
        BOOST_TEST((parsed.has_value() || http_status(parsed.error().kind) == 400), fields);
        if (parsed.has_error()) BOOST_TEST(!parsed.error().param.empty(), fields);
    };
    const std::string user = R"("messages":[{"role":"user","content":"a"}],)";
    for (const std::string& value : kAnything) {
        check(user + "\"tools\":" + value);
        check(user + "\"tools\":[" + value + "]");
        check(user + R"("tools":[{"type":"function","function":)" + value + "}]");
        for (const char* name : {"name", "description", "parameters", "strict"})
            check(user + R"("tools":[{"type":"function","function":{"name":"f",")" +
                  std::string(name) + "\":" + value + R"(}}],"tool_choice":"required")");
        check(user + R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":)" +
              value);
        const std::string begin = R"("messages":[{"role":"assistant","tool_calls":[)";
        check(begin + value + "]}]");
        check(begin + R"({"function":)" + value + "}]}]");
        for (const char* name : {"name", "arguments"})
            check(begin + R"({"function":{"name":"f",")" + name + "\":" + value + "}}]}]");
        for (const char* name : {"content", "tool_name", "tool_call_id", "tool_calls"})
            check(begin + R"({"function":{"name":"f"}}]},{"role":"tool",")" + name + "\":" + value +
                  "}]");
    }
}

BOOST_AUTO_TEST_CASE(bodies_that_are_no_object_are_refused) {
    for (const std::string body : {"", "{", "[]", "1", "\"x\"", "{\"prompt\":\"\xFF\"}"}) {
        BOOST_TEST(parse_ollama_chat(body, kLimits, *tales_model()).has_error());
        BOOST_TEST(parse_ollama_generate(body, kLimits, *tales_model()).has_error());
    }
    const std::string deep = "{\"options\":" + std::string(200, '[') + std::string(200, ']') + "}";
    BOOST_TEST(parse_ollama_chat(deep, kLimits, *tales_model()).has_error());
}

BOOST_AUTO_TEST_CASE(defaults_are_ollamas) {
    const CompletionRequest request =
        chat(R"("messages":[{"role":"user","content":"a"}])").value().request;
    BOOST_TEST(!generate(R"("prompt":"a")").value().request.truncates);  // it has one turn
    BOOST_TEST(request.stream);
    BOOST_TEST(request.sampling.temperature == 0.8F);
    BOOST_TEST(request.sampling.top_k == 40U);
    BOOST_TEST(request.sampling.top_p == 0.9F);
    BOOST_TEST(request.sampling.repetition_penalty == 1.0F);
    BOOST_TEST(!request.sampling.seed.has_value());
    BOOST_TEST(!request.max_tokens.has_value());
    BOOST_TEST(request.truncates);
    BOOST_TEST(!request.slides);
}

BOOST_AUTO_TEST_CASE(what_asks_for_nothing_is_taken) {
    const CompletionRequest request =
        chat(R"("model":"tales:latest","messages":[{"role":"user","content":"a","images":[],
                "tool_calls":[]}],"tools":[],"format":"","images":null,"think":null,
                "keep_alive":"5m","logprobs":false,"stream":null,"options":{"num_ctx":512,
                "num_predict":-2,"seed":-1,"num_gpu":-1,"num_thread":8,"use_mmap":true,"mirostat":0,
                "typical_p":1.0,"repeat_last_n":64,"stop":[],"unknown":{}})")
            .value()
            .request;
    BOOST_TEST(request.is_chat);
    BOOST_TEST(request.stream);
    BOOST_TEST(!request.max_tokens.has_value());
    BOOST_TEST(!request.sampling.seed.has_value());
    for (const char* keep_alive : {"0", "-1", "\"0\"", "\"-1s\"", "3.5"})
        BOOST_TEST(generate(R"("prompt":"a","keep_alive":)" + std::string(keep_alive)).has_value());
}

BOOST_AUTO_TEST_CASE(options_reach_the_request) {
    const CompletionRequest request =
        generate(
            R"("prompt":"a","stream":false,"session_id":"s","cache_salt":"c","priority":"background","truncate":false,
                    "options":{"temperature":0.5,"top_k":7,"top_p":0.25,"min_p":0.125,"seed":-7,
                    "num_predict":9,"stop":["x","y"],"repeat_penalty":1.25,"presence_penalty":0.5,
                    "frequency_penalty":-0.5,"repeat_last_n":-1})")
            .value()
            .request;
    BOOST_TEST(!request.stream);
    BOOST_TEST(!request.truncates);
    BOOST_TEST(request.session == "s");
    BOOST_TEST(request.cache_salt == "c");
    BOOST_TEST((request.priority == Priority::background));
    BOOST_TEST(*request.max_tokens == 9U);
    BOOST_TEST(request.stop == (std::vector<std::string>{"x", "y"}),
               boost::test_tools::per_element());
    const SamplingOptions& sampling = request.sampling;
    BOOST_TEST(sampling.temperature == 0.5F);
    BOOST_TEST(sampling.top_k == 7U);
    BOOST_TEST(sampling.top_p == 0.25F);
    BOOST_TEST(sampling.min_p == 0.125F);
    BOOST_TEST(*sampling.seed == static_cast<std::uint64_t>(-7));
    BOOST_TEST(sampling.repetition_penalty == 1.25F);
    BOOST_TEST(sampling.presence_penalty == 0.5F);
    BOOST_TEST(sampling.frequency_penalty == -0.5F);
}

BOOST_AUTO_TEST_CASE(penalties_over_no_tokens_are_none) {
    const SamplingOptions sampling =
        generate(R"("prompt":"a","options":{"repeat_penalty":1.3,"frequency_penalty":1,
                    "presence_penalty":1,"repeat_last_n":0})")
            .value()
            .request.sampling;
    BOOST_TEST(sampling.repetition_penalty == 1.0F);
    BOOST_TEST(sampling.frequency_penalty == 0.0F);
    BOOST_TEST(sampling.presence_penalty == 0.0F);
}

BOOST_AUTO_TEST_CASE(without_prompt_or_messages_it_is_a_load) {
    BOOST_TEST(generate("").value().is_load);
    BOOST_TEST(generate(R"("prompt":"","keep_alive":0)").value().is_load);
    BOOST_TEST(chat("").value().is_load);
    BOOST_TEST(chat(R"("messages":[])").value().is_load);
    BOOST_TEST(!generate(R"("prompt":"a")").value().is_load);
}

BOOST_AUTO_TEST_CASE(a_prompt_is_a_conversation_unless_it_is_raw) {
    const OllamaRequest chat_like =
        generate(R"("prompt":"a","system":"b","context":[5,6])").value();
    BOOST_TEST(chat_like.request.is_chat);
    BOOST_TEST(chat_like.returns_context);
    BOOST_REQUIRE(chat_like.request.messages.size() == 2U);
    BOOST_CHECK(chat_like.request.messages[0].role == ChatRole::system);
    BOOST_TEST(chat_like.request.messages[0].content == "b");
    BOOST_TEST(chat_like.request.messages[1].content == "a");
    BOOST_TEST(chat_like.request.before == (std::vector<TokenId>{5, 6}),
               boost::test_tools::per_element());
    const OllamaRequest raw = generate(R"("prompt":"a","raw":true)").value();
    BOOST_TEST(!raw.request.is_chat);
    BOOST_TEST(!raw.returns_context);
    BOOST_TEST(std::get<std::string>(raw.request.prompts.at(0)) == "a");
}

BOOST_AUTO_TEST_CASE(think_and_thoughts_go_to_the_models_template) {
    ModelInfo model = *tales_model();
    model.chat_template = "{{ messages[0].content }}";
    const auto variables = [&](const std::string& think) {
        return *parse_ollama_chat(
                    R"({"messages":[{"role":"assistant","thinking":"hm"}],"think":)" + think + "}",
                    kLimits, model)
                    .value()
                    .request.chat_variables;
    };
    BOOST_TEST(variables("false").at("enable_thinking").as_bool() == false);
    BOOST_TEST(variables("true").at("enable_thinking").as_bool());
    BOOST_TEST(variables("\"low\"").at("enable_thinking").as_bool());
    BOOST_TEST(variables("\"low\"").at("reasoning_effort").as_string() == "low");
    BOOST_TEST(!variables("null").contains("enable_thinking"));
    const boost::json::value message = variables("null").at("messages").as_array().at(0);
    BOOST_TEST(boost::json::serialize(message) ==
               R"({"role":"assistant","content":"","reasoning_content":"hm"})");
}

BOOST_AUTO_TEST_SUITE_END()
