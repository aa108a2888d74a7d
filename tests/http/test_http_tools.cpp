// Thoughts and function calls through every door: one answer of a model, as each of them writes it.
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>
#include <sstream>

#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;

namespace {

const std::string kTemplate =
    "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}{% for m in messages %}"
    "<|im_start|>{{ m.role }}{% if m.name %} {{ m.name }} {{ m.tool_call_id }}{% endif %}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}"
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const json::value kLook = json::parse(
    R"({"type":"object","properties":{"at":{"enum":["sea","hill"]}},"required":["at"],"additionalProperties":false})");

json::array nested_tools() {
    return {{{"type", "function"},
             {"function", {{"name", "look"}, {"description", "Look."}, {"parameters", kLook}}}},
            {{"type", "function"}, {"function", {{"name", "sleep"}}}}};
}
json::array flat_tools() {
    return {
        {{"type", "function"}, {"name", "look"}, {"description", "Look."}, {"parameters", kLook}},
        {{"type", "function"}, {"name", "sleep"}}};
}

struct ToolsFixture : HttpFixture {
    ToolsFixture() {
        auto model = std::make_shared<ModelInfo>(*tales_model());
        model->chat_template = kTemplate;
        engine = std::make_shared<FakeEngine>(std::move(model));
    }

    json::value post(const char* path, const json::object& body) {
        const RawResponse response = client().post(path, json::serialize(body));
        BOOST_TEST(response.status == 200, response.body);
        return parsed(response);
    }
    std::vector<json::value> lines(json::object body) {
        const RawResponse response = client().post("/api/chat", json::serialize(body));
        BOOST_TEST(response.status == 200, response.body);
        std::vector<json::value> lines;
        std::istringstream text(response.body);
        for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
        return lines;
    }
    std::vector<json::value> events(json::object body) {
        body["stream"] = true;
        const RawResponse response = client().post("/v1/responses", json::serialize(body));
        BOOST_TEST(response.status == 200, response.body);
        std::vector<json::value> events;
        std::istringstream text(response.body);
        for (std::string line; std::getline(text, line);)
            if (line.starts_with("data: ")) events.push_back(json::parse(line.substr(6)));
        return events;
    }
    /// Types and what they are about, repetitions once.
    static std::string story_of(const std::vector<json::value>& events) {
        std::string story;
        std::string last;
        for (const json::value& event : events) {
            const std::string type = std::string(event.at("type").as_string()).substr(9);
            if (type != last) story += type + " ";
            last = type;
        }
        return story;
    }
    std::string prompt_of(std::size_t request) {
        return tales_tokenizer()->decode(engine->requests().at(request).prompt, true);
    }
    static void check_error(const RawResponse& response, const std::string& part) {
        BOOST_TEST(response.status == 400);
        BOOST_TEST(response.body.find(part) != std::string::npos, response.body);
    }

    const json::array hello{{{"role", "user"}, {"content", "Hello"}}};
    // A piece of text a token: marks and JSON come cut anywhere.
    const std::vector<std::string> thinks_and_calls{
        "<thi",
        "nk>",
        "Hm, ",
        "the sea",
        "</think>",
        "I look.\n",
        "<tool_",
        "call>\n{\"name\": \"lo",
        "ok\", \"arguments\": {\"at\":",
        "\n \"sea\"}",
        "}\n</tool_call>\n<tool_call>",
        "{\"name\": \"sleep\", \"arguments\": {}}</tool_call>"};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_tools, ToolsFixture)

BOOST_AUTO_TEST_CASE(a_template_for_tools_says_how_calls_are_written) {
    auto model = std::make_shared<ModelInfo>(*tales_model());
    model->chat_template = "{{ messages[0].content }}";
    model->tool_template = kTemplate;
    engine = std::make_shared<FakeEngine>(model);
    engine->set_pieces(thinks_and_calls);
    const json::value chat =
        post("/v1/chat/completions", {{"messages", hello}, {"tools", nested_tools()}});
    const json::value& message = chat.at("choices").at(0).at("message");
    BOOST_TEST(message.at("reasoning_content").as_string() == "Hm, the sea");
    BOOST_TEST(message.at("tool_calls").as_array().size() == 2U);
    const json::value plain = post("/v1/chat/completions", {{"messages", hello}});
    BOOST_TEST(prompt_of(1) == "Hello");
    BOOST_TEST(plain.at("choices").at(0).at("message").at("content").as_string().starts_with(
        "<think>Hm,"));
    const json::value shown = post("/api/show", {{"model", "any"}});
    BOOST_TEST(json::serialize(shown.at("capabilities")).find("tools") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(whole_answers_say_the_same_in_three_shapes) {
    engine->set_pieces(thinks_and_calls);
    const json::value chat =
        post("/v1/chat/completions", {{"messages", hello}, {"tools", nested_tools()}});
    const json::value& message = chat.at("choices").at(0).at("message");
    BOOST_TEST(message.at("reasoning_content").as_string() == "Hm, the sea");
    BOOST_TEST(message.at("content").as_string() == "I look.");
    BOOST_TEST(message.at("tool_calls").as_array().size() == 2U);

    const json::value ollama =
        post("/api/chat", {{"messages", hello}, {"tools", nested_tools()}, {"stream", false}});
    const json::value& said = ollama.at("message");
    BOOST_TEST(said.at("thinking").as_string() == "Hm, the sea");
    BOOST_TEST(said.at("content").as_string() == "I look.");
    BOOST_REQUIRE(said.at("tool_calls").as_array().size() == 2U);
    BOOST_TEST(json::serialize(said.at("tool_calls").at(0).at("function")) ==
               R"({"name":"look","arguments":{"at":"sea"}})");
    BOOST_TEST(json::serialize(said.at("tool_calls").at(1).at("function")) ==
               R"({"name":"sleep","arguments":{}})");
    BOOST_TEST(ollama.at("done_reason").as_string() == "stop");

    const json::value response =
        post("/v1/responses", {{"input", "Hello"}, {"tools", flat_tools()}});
    const json::array& output = response.at("output").as_array();
    BOOST_REQUIRE(output.size() == 4U);
    BOOST_TEST(output[0].at("type").as_string() == "reasoning");
    BOOST_TEST(output[0].at("id").as_string().starts_with("rs_"));
    BOOST_TEST(output[0].at("summary").as_array().empty());
    BOOST_TEST(json::serialize(output[0].at("content")) ==
               R"([{"type":"reasoning_text","text":"Hm, the sea"}])");
    BOOST_TEST(output[1].at("content").at(0).at("text").as_string() == "I look.");
    BOOST_TEST(output[2].at("type").as_string() == "function_call");
    BOOST_TEST(output[2].at("id").as_string().starts_with("fc_"));
    BOOST_TEST(output[2].at("call_id").as_string().starts_with("call_"));
    BOOST_TEST(output[2].at("name").as_string() == "look");
    BOOST_TEST(output[2].at("arguments").as_string() == "{\"at\":\n \"sea\"}");
    BOOST_TEST(output[3].at("name").as_string() == "sleep");
    for (const json::value& item : output) BOOST_TEST(item.at("status").as_string() == "completed");
    BOOST_TEST(json::serialize(response.at("tools")) == json::serialize(flat_tools()));
    BOOST_TEST(response.at("tool_choice").as_string() == "auto");
    BOOST_TEST(response.at("usage").at("output_tokens_details").at("reasoning_tokens").as_int64() >
               0);
    // One conversation, one prompt, whatever the door.
    BOOST_TEST(prompt_of(0) == prompt_of(1));
    BOOST_TEST(prompt_of(0) == prompt_of(2));
}

BOOST_AUTO_TEST_CASE(ollamas_lines_have_thoughts_as_they_come_and_calls_whole) {
    engine->set_pieces(thinks_and_calls);
    const std::vector<json::value> all = lines({{"messages", hello}, {"tools", nested_tools()}});
    std::string thoughts;
    std::string text;
    json::array calls;
    for (const json::value& line : all) {
        const json::object& message = line.at("message").as_object();
        text += message.at("content").as_string();
        if (const json::value* more = message.if_contains("thinking"))
            thoughts += more->as_string();
        if (const json::value* more = message.if_contains("tool_calls"))
            for (const json::value& call : more->as_array()) calls.push_back(call.at("function"));
        BOOST_TEST(line.at("done").as_bool() == (&line == &all.back()));
    }
    BOOST_TEST(thoughts == "Hm, the sea");
    BOOST_TEST(text == "I look.");
    BOOST_TEST(json::serialize(calls) ==
               R"([{"name":"look","arguments":{"at":"sea"}},{"name":"sleep","arguments":{}}])");
    BOOST_TEST(all.size() > 5U);
}

BOOST_AUTO_TEST_CASE(a_responses_stream_opens_and_closes_each_item) {
    engine->set_pieces(thinks_and_calls);
    const std::vector<json::value> all = events({{"input", "Hello"}, {"tools", flat_tools()}});
    BOOST_TEST(story_of(all) ==
               "created in_progress "
               "output_item.added content_part.added reasoning_text.delta reasoning_text.done "
               "content_part.done output_item.done "
               "output_item.added content_part.added output_text.delta output_text.done "
               "content_part.done output_item.done "
               "output_item.added function_call_arguments.delta function_call_arguments.done "
               "output_item.done "
               "output_item.added function_call_arguments.delta function_call_arguments.done "
               "output_item.done completed ");
    const json::array& output = all.back().at("response").at("output").as_array();
    BOOST_REQUIRE(output.size() == 4U);
    std::vector<std::string> deltas(output.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const json::object& event = all[i].as_object();
        BOOST_TEST(event.at("sequence_number").as_int64() == static_cast<std::int64_t>(i));
        if (!event.contains("output_index")) continue;
        const auto index = static_cast<std::size_t>(event.at("output_index").as_int64());
        const json::value& item = output.at(index);
        if (event.contains("item_id")) BOOST_TEST(event.at("item_id") == item.at("id"));
        if (event.contains("delta")) deltas[index] += event.at("delta").as_string();
        if (event.at("type").as_string() == "response.output_item.done")
            BOOST_TEST(json::serialize(event.at("item")) == json::serialize(item));
        if (event.at("type").as_string() == "response.output_item.added")
            BOOST_TEST(event.at("item").at("status").as_string() == "in_progress");
        if (event.at("type").as_string() == "response.function_call_arguments.done") {
            BOOST_TEST(event.at("arguments") == item.at("arguments"));
            BOOST_TEST(event.at("name") == item.at("name"));
        }
    }
    BOOST_TEST(deltas[0] == "Hm, the sea");
    BOOST_TEST(deltas[1] == "I look.");
    BOOST_TEST(deltas[2] == output[2].at("arguments").as_string());
    BOOST_TEST(deltas[3] == "{}");
}

BOOST_AUTO_TEST_CASE(text_after_a_call_is_another_item) {
    engine->set_pieces(
        {"<tool_call>{\"name\": \"sleep\", \"arguments\": {}}", "</tool_call>", "Good", " night."});
    const std::vector<json::value> all = events({{"input", "Hello"}, {"tools", flat_tools()}});
    const json::array& output = all.back().at("response").at("output").as_array();
    BOOST_REQUIRE(output.size() == 2U);
    BOOST_TEST(output[0].at("name").as_string() == "sleep");
    BOOST_TEST(output[1].at("content").at(0).at("text").as_string() == "Good night.");
}

BOOST_AUTO_TEST_CASE(a_call_that_is_cut_is_incomplete) {
    engine->set_pieces({"<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": \"s", "ea"});
    const json::object limit{{"input", "Hello"}, {"tools", flat_tools()}, {"max_output_tokens", 1}};
    for (const json::value& response :
         {post("/v1/responses", limit), events(limit).back().at("response")}) {
        BOOST_TEST(response.at("status").as_string() == "incomplete");
        BOOST_REQUIRE(response.at("output").as_array().size() == 1U);
        BOOST_TEST(response.at("output").at(0).at("status").as_string() == "incomplete");
        BOOST_TEST(response.at("output").at(0).at("arguments").as_string() == "{\"at\": \"s");
    }
    // Ollama's field takes an object alone: what is none is text.
    json::object ollama{{"messages", hello},
                        {"tools", nested_tools()},
                        {"stream", false},
                        {"options", {{"num_predict", 1}}}};
    const json::value message = post("/api/chat", ollama).at("message");
    BOOST_TEST(!message.as_object().contains("tool_calls"));
    BOOST_TEST(message.at("content").as_string() == R"({"name": "look", "arguments": {"at": "s)");
    ollama["stream"] = true;
    std::string text;
    for (const json::value& line : lines(ollama))
        text += line.at("message").at("content").as_string();
    BOOST_TEST(text == message.at("content").as_string());
}

BOOST_AUTO_TEST_CASE(thoughts_alone_are_told_apart_without_tools) {
    engine->set_pieces({"<think>", "Hm.", "</think>", "Yes."});
    const json::value chat = post("/api/chat", {{"messages", hello}, {"stream", false}});
    BOOST_TEST(json::serialize(chat.at("message")) ==
               R"({"role":"assistant","content":"Yes.","thinking":"Hm."})");
    const json::value generate = post("/api/generate", {{"prompt", "Hello"}, {"stream", false}});
    BOOST_TEST(generate.at("response").as_string() == "Yes.");
    BOOST_TEST(generate.at("thinking").as_string() == "Hm.");
    BOOST_TEST(generate.at("context").as_array().size() ==
               engine->requests().at(1).prompt.size() + 4);
    const json::value raw =
        post("/api/generate", {{"prompt", "Hello"}, {"raw", true}, {"stream", false}});
    BOOST_TEST(raw.at("response").as_string() == "<think>Hm.</think>Yes.");
    const json::value response = post("/v1/responses", {{"input", "Hello"}});
    BOOST_TEST(response.at("output").as_array().size() == 2U);
    // Nothing but thoughts: there is no message then.
    const std::vector<json::value> cut = events({{"input", "Hello"}, {"max_output_tokens", 2}});
    BOOST_TEST(story_of(cut) ==
               "created in_progress output_item.added content_part.added reasoning_text.delta "
               "reasoning_text.done content_part.done output_item.done incomplete ");
}

BOOST_AUTO_TEST_CASE(an_empty_answer_is_an_empty_message) {
    engine->set_pieces({""});
    const json::value whole = post("/v1/responses", {{"input", "Hello"}});
    BOOST_TEST(whole.at("output").at(0).at("content").at(0).at("text").as_string() == "");
    BOOST_TEST(story_of(events({{"input", "Hello"}})) ==
               "created in_progress output_item.added content_part.added output_text.done "
               "content_part.done output_item.done completed ");
}

BOOST_AUTO_TEST_CASE(a_conversation_with_calls_is_the_same_prompt_through_every_door) {
    engine->set_pieces({"Waves."});
    const json::array chat = json::parse(R"([
        {"role":"user","content":"Look."},
        {"role":"assistant","content":"I look.","reasoning_content":"Hm.","tool_calls":[
            {"id":"call00000","type":"function","function":{"name":"look","arguments":"{\"at\": \"sea\", \"n\": [1, 2.5, 3.0, null, true]}"}},
            {"id":"call00001","type":"function","function":{"name":"sleep","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"call00001","name":"sleep","content":"Rested."},
        {"role":"tool","tool_call_id":"call00000","name":"look","content":"Blue."}])")
                                 .as_array();
    const json::array ollama = json::parse(R"([
        {"role":"user","content":"Look."},
        {"role":"assistant","content":"I look.","thinking":"Hm.","tool_calls":[
            {"function":{"name":"look","arguments":{"at":"sea","n":[1,2.5,3.0,null,true]}}},
            {"function":{"name":"sleep","arguments":{}}}]},
        {"role":"tool","tool_name":"sleep","content":"Rested."},
        {"role":"tool","content":"Blue."}])")
                                   .as_array();
    const json::array items = json::parse(R"([
        {"role":"user","content":"Look."},
        {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]},
        {"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"I look."}]},
        {"type":"function_call","id":"fc_1","call_id":"call00000","name":"look","arguments":"{\"at\": \"sea\", \"n\": [1, 2.5, 3.0, null, true]}"},
        {"type":"function_call","call_id":"call00001","name":"sleep","arguments":"{}"},
        {"type":"function_call_output","call_id":"call00001","output":"Rested."},
        {"type":"function_call_output","call_id":"call00000","output":[{"type":"input_text","text":"Blue."}]}])")
                                  .as_array();
    post("/v1/chat/completions", {{"messages", chat}, {"tools", nested_tools()}});
    lines({{"messages", ollama}, {"tools", nested_tools()}});
    post("/v1/responses", {{"input", items}, {"tools", flat_tools()}});
    BOOST_TEST(
        prompt_of(0).find(
            R"(<tool_call>{"name": "look", "arguments": {"at": "sea", "n": [1, 2.5, 3.0, null, true]}}</tool_call>)") !=
        std::string::npos);
    BOOST_TEST(prompt_of(1) == prompt_of(0));
    BOOST_TEST(prompt_of(2) == prompt_of(0));
}

BOOST_AUTO_TEST_CASE(a_choice_constrains_the_answer_through_every_door) {
    engine->set_pieces({"{\"name\":\"look\",\"arguments\":{\"at\":\"sea\"}}"});
    const json::value chat = post("/api/chat", {{"messages", hello},
                                                {"tools", nested_tools()},
                                                {"tool_choice", "required"},
                                                {"stream", false}});
    BOOST_TEST(chat.at("message").at("content").as_string() == "");
    BOOST_TEST(chat.at("message").at("tool_calls").as_array().size() == 1U);
    const json::object choice{{"type", "function"}, {"name", "look"}};
    const json::value response = post(
        "/v1/responses", {{"input", "Hello"}, {"tools", flat_tools()}, {"tool_choice", choice}});
    BOOST_TEST(response.at("output").as_array().size() == 1U);
    BOOST_TEST(json::serialize(response.at("tool_choice")) == json::serialize(choice));
    post("/v1/responses", {{"input", "a"}, {"tools", flat_tools()}, {"tool_choice", "none"}});
    const std::vector<GenerationRequest> requests = engine->requests();
    BOOST_TEST((requests.at(0).constraint != nullptr));
    BOOST_TEST((requests.at(1).constraint != nullptr));
    BOOST_TEST((requests.at(2).constraint == nullptr));
    BOOST_TEST(prompt_of(2).find("look") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(all_tools_are_told_of_and_those_allowed_are_called) {
    engine->set_pieces(thinks_and_calls);
    const auto called = [](const json::value& response) {
        std::string names;
        for (const json::value& item : response.at("output").as_array())
            if (item.at("type").as_string() == "function_call")
                names += std::string(item.at("name").as_string()) + " ";
        return names;
    };
    const json::object all{{"input", "Hello"}, {"tools", flat_tools()}};
    json::object some = all;
    some["tool_choice"] = json::parse(
        R"({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"sleep"}]})");
    BOOST_TEST(called(post("/v1/responses", all)) == "look sleep ");
    const json::value response = post("/v1/responses", some);
    BOOST_TEST(called(response) == "sleep ");
    BOOST_TEST(prompt_of(0) == prompt_of(1));
    some["tool_choice"].as_object()["mode"] = "required";
    post("/v1/responses", some);
    json::object chat{{"messages", hello}, {"tools", nested_tools()}};
    chat["tool_choice"] = json::parse(
        R"({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"look"}}]}})");
    post("/v1/chat/completions", chat);
    const std::vector<GenerationRequest> requests = engine->requests();
    BOOST_TEST((requests.at(1).constraint == nullptr));
    BOOST_TEST((requests.at(2).constraint != nullptr));
    BOOST_TEST((requests.at(3).constraint != nullptr));
    BOOST_TEST(prompt_of(3) == prompt_of(0));
}

BOOST_AUTO_TEST_CASE(one_call_where_more_are_not_wanted) {
    engine->set_pieces(thinks_and_calls);
    const json::value response =
        post("/v1/responses",
             {{"input", "Hello"}, {"tools", flat_tools()}, {"parallel_tool_calls", false}});
    std::size_t n_calls = 0;
    for (const json::value& item : response.at("output").as_array())
        n_calls += item.at("type").as_string() == "function_call";
    BOOST_TEST(n_calls == 1U);
    BOOST_TEST(!response.at("parallel_tool_calls").as_bool());
}

BOOST_AUTO_TEST_CASE(wrong_tools_and_calls_are_named_as_sent) {
    const auto responses = [&](const std::string& fields) {
        return client().post("/v1/responses", R"({"input":"a",)" + fields + "}");
    };
    const std::string look = R"("tools":[{"type":"function","name":"look"}],)";
    check_error(responses(R"("tools":[{"type":"function"}])"), R"("param":"tools[0].name")");
    check_error(responses(R"("tools":[{"type":"web_search"}])"), R"("param":"tools[0].type")");
    check_error(responses(R"("tools":[{"type":"function","name":"f","parameters":[]}])"),
                R"("param":"tools[0].parameters")");
    check_error(responses(look + R"("tool_choice":{"type":"function","name":"fly"})"),
                R"("param":"tool_choice.name")");
    check_error(responses(look + R"("tool_choice":{"type":"function"})"),
                R"("param":"tool_choice.name")");
    const auto allowed = [&](const std::string& rest) {
        return responses(look + R"("tool_choice":{"type":"allowed_tools",)" + rest + "}");
    };
    check_error(allowed(R"("mode":"auto")"), R"("param":"tool_choice.tools")");
    check_error(allowed(R"("tools":[])"), R"("param":"tool_choice.tools")");
    check_error(allowed(R"("mode":"never","tools":[])"), R"("param":"tool_choice.mode")");
    check_error(allowed(R"("tools":[7])"), R"("param":"tool_choice.tools[0]")");
    check_error(allowed(R"("tools":[{"type":"mcp"}])"), R"("param":"tool_choice.tools[0].type")");
    check_error(allowed(R"("tools":[{"type":"function","name":"fly"}])"),
                R"("param":"tool_choice.tools[0].name")");
    check_error(
        client().post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"a"}],)"
                                              R"("tool_choice":{"type":"allowed_tools"}})"),
        R"("param":"tool_choice.allowed_tools")");
    check_error(responses(R"("tool_choice":"required")"), R"("param":"tool_choice")");
    check_error(
        responses(look + R"("tool_choice":"required","text":{"format":{"type":"json_object"}})"),
        R"("param":"tool_choice")");
    const auto input = [&](const std::string& items) {
        return client().post("/v1/responses", R"({"input":[)" + items + "]}");
    };
    check_error(input(R"({"type":"function_call","name":"f","arguments":"{}"})"),
                R"("param":"input[0].call_id")");
    check_error(input(R"({"type":"function_call","call_id":"c","arguments":"{}"})"),
                R"("param":"input[0].name")");
    check_error(input(R"({"type":"function_call","call_id":"c","name":"f","arguments":{}})"),
                R"("param":"input[0].arguments")");
    check_error(input(R"({"type":"function_call_output","call_id":"c","output":"x"})"),
                R"("param":"input[0].call_id")");
    check_error(input(R"({"type":"function_call","call_id":"c","name":"f","arguments":"{}"},)"
                      R"({"type":"function_call_output","call_id":"c","output":1})"),
                R"("param":"input[1].output")");
    check_error(input(R"({"type":"reasoning","summary":[]})"), R"("param":"input")");
    check_error(input(R"({"type":"reasoning","content":[{"type":"x"}]})"),
                R"("param":"input[0].content[0].type")");
    const auto ollama = [&](const std::string& fields) {
        return client().post("/api/chat", "{" + fields + "}");
    };
    const std::string a = R"("messages":[{"role":"user","content":"a"}],)";
    check_error(ollama(a + R"("tools":[{"type":"function","function":{}}])"),
                "tools[0].function.name: ");
    check_error(ollama(a + R"("tools":7)"), "tools: ");
    check_error(ollama(a + R"("tool_choice":"required")"), "tool_choice: ");
    const auto calls = [&](const std::string& what) {
        return ollama(R"("messages":[{"role":"assistant","tool_calls":)" + what + "}]");
    };
    check_error(calls("7"), "messages[0].tool_calls: ");
    check_error(calls("[7]"), "messages[0].tool_calls[0]: ");
    check_error(calls("[{\"id\":1}]"), "messages[0].tool_calls[0].id: ");
    check_error(calls("[{}]"), "messages[0].tool_calls[0].function: ");
    check_error(calls(R"([{"function":{}}])"), "messages[0].tool_calls[0].function.name: ");
    check_error(calls(R"([{"function":{"name":"f","arguments":"{}"}}])"),
                "messages[0].tool_calls[0].function.arguments: ");
    BOOST_TEST(engine->requests().empty());
}

BOOST_AUTO_TEST_CASE(what_the_template_can_is_shown) {
    const json::value show = post("/api/show", {{"model", "any"}});
    BOOST_TEST(json::serialize(show.at("capabilities")) ==
               R"(["completion","embedding","tools","thinking"])");
}

BOOST_AUTO_TEST_CASE(a_failure_in_mid_call_leaves_what_came) {
    engine->set_pieces({"<tool_call>{\"name\": \"look\", \"arguments\": {", "\"at\"", ": ", "x"});
    engine->fail_after(3, {ErrorCode::device_lost, "the device is gone"});
    const std::vector<json::value> all = events({{"input", "Hello"}, {"tools", flat_tools()}});
    BOOST_TEST(all.back().at("type").as_string() == "response.failed");
    const json::value& item = all.back().at("response").at("output").at(0);
    BOOST_TEST(item.at("status").as_string() == "incomplete");
    BOOST_TEST(item.at("name").as_string() == "look");
    const std::vector<json::value> failed = lines({{"messages", hello}, {"tools", nested_tools()}});
    BOOST_TEST(failed.back().at("error").as_string() == "the device is gone");
}

BOOST_AUTO_TEST_SUITE_END()
