#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/kvasir/commands.hpp"
#include "daemon/kvasir/conversation.hpp"

using namespace kvasir;
using namespace kvasir::client;

BOOST_AUTO_TEST_SUITE(conversation)

BOOST_AUTO_TEST_CASE(messages_are_sent_whole_and_in_order) {
    Conversation conversation("be \"brief\"");
    conversation.add_user("a\nb");
    conversation.add_assistant("c");
    conversation.add_user("d");
    BOOST_TEST(conversation.messages() ==
               R"([{"role":"system","content":"be \"brief\""},{"role":"user","content":"a\nb"},)"
               R"({"role":"assistant","content":"c"},{"role":"user","content":"d"}])");
    conversation.clear();
    BOOST_TEST(conversation.messages() == R"([{"role":"system","content":"be \"brief\""}])");
}

BOOST_AUTO_TEST_CASE(a_turn_without_a_reply_is_forgotten) {
    Conversation conversation("");
    conversation.add_user("a");
    conversation.add_assistant("");
    BOOST_TEST(conversation.messages() == "[]");
    conversation.add_user("a");
    conversation.add_assistant("b");
    conversation.add_assistant("");
    BOOST_TEST(conversation.n_turns() == 2U);
}

BOOST_AUTO_TEST_CASE(saving_is_private_and_overwrites_only_its_own) {
    const std::string path = "/tmp/kvasir-chat-" + std::to_string(::getpid());
    ::unlink(path.c_str());
    Conversation conversation("");
    conversation.add_user("a long first message");
    conversation.add_assistant("c");
    BOOST_REQUIRE(conversation.save(path).has_value());
    struct stat status {};
    BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777U) == 0600U);
    const auto contents = [&path] {
        std::ifstream in(path);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    BOOST_TEST(contents() == "{\"messages\":" + conversation.messages() + "}\n");
    conversation.clear();
    BOOST_REQUIRE(conversation.save(path).has_value());
    BOOST_TEST(contents() == "{\"messages\":[]}\n");
    Conversation other("");
    const auto refused = other.save(path);
    BOOST_REQUIRE(refused.has_error());
    BOOST_TEST((refused.error().code == ErrorCode::conflict));
    BOOST_TEST(other.save("/nonexistent/directory/file").has_error());
    ::unlink(path.c_str());
}

BOOST_AUTO_TEST_CASE(request_fields_are_what_was_asked_for) {
    GenerationOptions options;
    BOOST_TEST(generation_fields(options, false) == R"("max_tokens":200,"stream":false)");
    options.top_k = 5;
    options.stop = {"\n"};
    BOOST_TEST(generation_fields(options, true) ==
               R"("max_tokens":200,"top_k":5,"stop":["\n"],"stream":true,)"
               R"("stream_options":{"include_usage":true})");
}

BOOST_AUTO_TEST_CASE(metrics_become_json) {
    BOOST_TEST(
        metrics_to_json("# HELP x y\n# TYPE x counter\nx 3\ny{a=\"b c\",d=\"}\"} 0.25\r\nbad\n"
                        "n NaN\nbig 1e30 1700000000\n") ==
        R"({"big":1e+30,"x":3,"y{a=\"b c\",d=\"}\"}":0.25})");
    BOOST_TEST(metrics_to_json("") == "{}");
}

BOOST_AUTO_TEST_SUITE_END()
