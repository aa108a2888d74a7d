// One conversation with calls through three doors and other models' own templates: one prompt.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/http/chat_text.hpp"
#include "daemon/http/ollama_request.hpp"
#include "daemon/http/responses_request.hpp"
#include "tests/http/http_fixture.hpp"

namespace json = boost::json;
using namespace kvasir;
using namespace kvasir::testing;

namespace {

const HttpLimits kLimits;
const std::filesystem::path kTemplates = KVASIR_SHARED_DIR "/golden/templates";

const char* const kParameters =
    R"("parameters":{"type":"object","properties":{"at":{"type":"string"}},"required":["at"]})";
const std::string kNestedTools =
    R"("tools":[{"type":"function","function":{"name":"look","description":"Look.",)" +
    std::string(kParameters) + "}}]";
const std::string kFlatTools =
    R"("tools":[{"type":"function","name":"look","description":"Look.",)" +
    std::string(kParameters) + "}]";

/// content: of the message that calls, as JSON.
std::string chat_body(const std::string& content) {
    return R"({"messages":[{"role":"user","content":"Look."},{"role":"assistant","content":)" +
           content +
           R"(,"tool_calls":[{"id":"call00000","type":"function","function":{"name":"look",)"
           R"("arguments":"{\"at\": \"sea\", \"n\": 2}"}}]},)"
           R"({"role":"tool","tool_call_id":"call00000","name":"look","content":"Blue."},)"
           R"({"role":"assistant","content":"It is blue."},{"role":"user","content":"And?"}],)" +
           kNestedTools + "}";
}
const std::string kOllama =
    R"({"messages":[{"role":"user","content":"Look."},{"role":"assistant","content":"",)"
    R"("tool_calls":[{"function":{"name":"look","arguments":{"at":"sea","n":2}}}]},)"
    R"({"role":"tool","tool_name":"look","content":"Blue."},)"
    R"({"role":"assistant","content":"It is blue."},{"role":"user","content":"And?"}],)" +
    kNestedTools + "}";
const std::string kResponses =
    R"({"input":[{"role":"user","content":"Look."},{"type":"function_call","call_id":"call00000",)"
    R"("name":"look","arguments":"{\"at\": \"sea\", \"n\": 2}"},)"
    R"({"type":"function_call_output","call_id":"call00000","output":"Blue."},)"
    R"({"role":"assistant","content":"It is blue."},{"role":"user","content":"And?"}],)" +
    kFlatTools + "}";

std::string text_or_error(const ModelInfo& model, const CompletionRequest& request) {
    const auto text = render_with_template(model, *request.chat_variables);
    return text.has_value() ? *text : "error: " + text.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(door_templates)

BOOST_AUTO_TEST_CASE(every_template_gets_the_same_conversation_through_every_door) {
    if (!std::filesystem::is_directory(kTemplates)) {
        BOOST_TEST_MESSAGE("SKIPPED: " << kTemplates << " is not there");
        std::fprintf(stderr, "SKIPPED door_templates: %s is not there\n", kTemplates.c_str());
        return;
    }
    std::size_t n_texts = 0;
    for (const auto& entry : std::filesystem::directory_iterator(kTemplates)) {
        if (entry.path().extension() != ".jinja") continue;
        std::ostringstream source;
        source << std::ifstream(entry.path()).rdbuf();
        ModelInfo model = *tales_model();
        model.chat_template = source.str();
        const auto chat = [&](const std::string& content) {
            return text_or_error(model,
                                 parse_chat_request(chat_body(content), kLimits, model.n_vocab,
                                                    ChatWriter::model_template)
                                     .value());
        };
        const std::string empty = chat(R"("")");
        BOOST_TEST(
            text_or_error(model, parse_ollama_chat(kOllama, kLimits, model)->request) == empty,
            entry.path());
        BOOST_TEST(
            text_or_error(model, parse_responses_request(kResponses, kLimits, model)->request) ==
                chat("null"),
            entry.path());
        n_texts += !empty.starts_with("error: ");
    }
    BOOST_TEST_MESSAGE(n_texts << " templates take a conversation with calls");
    BOOST_TEST(n_texts > 20U);
}

BOOST_AUTO_TEST_SUITE_END()
