// The client and the real HTTP server, with an engine that needs no device.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/http/http_fixture.hpp"
#include "tests/kvasir_client/child.hpp"

namespace {

using namespace kvasir;
using kvasir::test::Child;

struct ServerFixture : kvasir::testing::HttpFixture {
    std::vector<std::string> to_server(std::vector<std::string> arguments) {
        server();
        arguments.insert(arguments.begin(), {"--socket", options.socket_path});
        return arguments;
    }
};

const std::string kProgram = KVASIR_BIN_DIR "/kvasir";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(against_server, ServerFixture)

BOOST_AUTO_TEST_CASE(a_story_is_streamed_with_its_figures) {
    engine->set_cached_tokens(1);
    Child child(kProgram, to_server({"run",     "Once upon a time",
                                     "--stats", "--temperature",
                                     "0.5",     "--top-k",
                                     "4",       "--top-p",
                                     "0.9",     "--min-p",
                                     "0.1",     "--seed",
                                     "7",       "--stop",
                                     "END",     "--repetition-penalty",
                                     "1.5",     "-n",
                                     "9",       "--background"}));
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output == "Once upon a time.\n");
    BOOST_TEST(child.errors.find(" (1 cached), first token after ") != std::string::npos);
    BOOST_TEST(child.errors.find(", 5 tokens at ") != std::string::npos, child.errors);
    const GenerationRequest request = engine->requests().at(0);
    BOOST_TEST(request.max_tokens == 9U);
    BOOST_TEST(request.sampling.temperature == 0.5F);
    BOOST_TEST(request.sampling.top_k == 4U);
    BOOST_TEST(request.sampling.top_p == 0.9F);
    BOOST_TEST(request.sampling.min_p == 0.1F);
    BOOST_TEST(request.sampling.repetition_penalty == 1.5F);
    BOOST_TEST(request.sampling.seed.value() == 7U);
    BOOST_TEST((request.stop == std::vector<std::string>{"END"}));
    BOOST_TEST((request.priority == Priority::background));
}

BOOST_AUTO_TEST_CASE(every_question_is_answered) {
    const auto output_of = [this](const std::vector<std::string>& command) {
        Child child(kProgram, to_server(command));
        BOOST_TEST(child.wait() == 0, command[0] << ": " << child.errors);
        return child.output;
    };
    BOOST_TEST(output_of({"health"}).starts_with("status: ok\n"));
    BOOST_TEST(output_of({"models"}) == "tales-5m\n");
    BOOST_TEST(output_of({"metrics"}).find("kvasir_requests_total 0") != std::string::npos);
    BOOST_TEST(boost::json::parse(output_of({"metrics", "--json"})).at("kvasir_requests_total") ==
               0);
    BOOST_TEST(boost::json::parse(output_of({"models", "--json"})).at("data").is_array());
    BOOST_TEST(boost::json::parse(output_of({"run", "x", "--json"})).at("choices").is_array());
    const std::string ids = output_of({"tokenize", "Once upon a time"});
    std::string expected;
    for (const TokenId id :
         engine->model()->tokenizer->encode("Once upon a time", Tokenizer::Special::ignore)) {
        expected += (expected.empty() ? "" : " ") + std::to_string(id);
    }
    BOOST_TEST(ids == expected + "\n");
}

BOOST_AUTO_TEST_CASE(an_interrupt_cancels_the_generation) {
    engine->set_pieces(std::vector<std::string>(1000, "word "));
    engine->set_pace(std::chrono::milliseconds(5));
    Child child(kProgram, to_server({"run", "x", "-n", "1000"}));
    BOOST_TEST(child.expect("word word"));
    child.signal(SIGINT);
    BOOST_TEST(child.wait() == 130);
    BOOST_TEST(kvasir::testing::eventually([this] { return engine->n_cancelled() == 1; }));
}

BOOST_AUTO_TEST_CASE(a_chat_goes_on_over_several_turns) {
    Child child(kProgram, to_server({"chat", "--system", "be brief"}));
    child.write("hello\nand again\n");
    child.close_input();
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output == "Once upon a time.\nOnce upon a time.\n");
    const auto requests = engine->requests();
    BOOST_REQUIRE(requests.size() == 2U);
    const std::string prompt = engine->model()->tokenizer->decode(requests[1].prompt, true);
    BOOST_TEST(prompt.find("be brief") < prompt.find("hello"));
    BOOST_TEST(prompt.find("hello") < prompt.find("Once upon a time."));
    BOOST_TEST(prompt.find("Once upon a time.") < prompt.find("and again"));
}

BOOST_AUTO_TEST_CASE(errors_are_told_in_the_servers_words) {
    engine->fail_after(2, {ErrorCode::device_lost, "the GPU is gone"});
    Child failing(kProgram, to_server({"run", "x"}));
    BOOST_TEST(failing.wait() == 1);
    BOOST_TEST(failing.output == "Once upon\n");
    BOOST_TEST(failing.errors.find("the GPU is gone") != std::string::npos, failing.errors);
    Child hot(kProgram, to_server({"run", "x", "--temperature", "9"}));
    BOOST_TEST(hot.wait() == 1);
    BOOST_TEST(hot.errors.find("temperature") != std::string::npos, hot.errors);
    engine->set_state({EngineState::Phase::loading, 0.5, {}});
    Child early(kProgram, to_server({"health"}));
    BOOST_TEST(early.wait() == 1);
    BOOST_TEST(early.errors.find("HTTP 503") != std::string::npos, early.errors);
}

BOOST_AUTO_TEST_SUITE_END()
