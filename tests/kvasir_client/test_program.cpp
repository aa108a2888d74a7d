// The kvasir program as a shell sees it, against a server that does what each case needs.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <future>

#include "tests/kvasir_client/child.hpp"
#include "tests/kvasir_client/fake_server.hpp"

namespace {

namespace json = boost::json;
using kvasir::test::Child;
using kvasir::test::FakeServer;
using Peer = FakeServer::Peer;
using Request = FakeServer::Request;

const std::string kProgram = KVASIR_BIN_DIR "/kvasir";

std::string text_event(const std::string& text) {
    return json::serialize(json::object{{"choices", {{{"index", 0}, {"text", text}}}}});
}

std::string delta_event(const std::string& text) {
    return json::serialize(json::object{{"choices", {{{"delta", {{"content", text}}}}}}});
}

const std::string kUsageEvent =
    R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,)"
    R"("prompt_tokens_details":{"cached_tokens":4}},"timings":{"predicted_per_second":50.0}})";

std::vector<std::string> with_socket(const FakeServer& server, std::vector<std::string> arguments) {
    BOOST_REQUIRE(server.is_ok());
    arguments.insert(arguments.begin(), {"--socket", server.address()});
    return arguments;
}

/// Replies to a chat with "reply to <last message>".
void reply_to_chat(const Request& request, Peer& peer) {
    const json::value body = json::parse(request.body);
    const auto& messages = body.at("messages").as_array();
    const std::string last(messages.back().at("content").as_string());
    peer.begin_events();
    peer.send_event(delta_event("reply to "));
    peer.send_event(delta_event(last));
    peer.send_event(kUsageEvent);
    peer.end_events();
}

Request last_chat(FakeServer& server) {
    Request last;
    for (const Request& request : server.requests())
        if (request.head.starts_with("POST /v1/chat/completions ")) last = request;
    return last;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(run_shows_each_piece_as_it_comes) {
    std::promise<void> go_on;
    FakeServer server([&go_on](const Request&, Peer& peer) {
        peer.begin_events();
        peer.send_event(text_event("Once "));
        go_on.get_future().wait();
        peer.send_event(text_event("upon"));
        peer.send_event(kUsageEvent);
        peer.end_events();
    });
    Child child(kProgram, with_socket(server, {"run", "a \"prompt\"", "--stats", "-n", "7"}));
    BOOST_TEST(child.expect("Once "));  // before the server has more
    go_on.set_value();
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output == "Once upon\n");
    BOOST_TEST(child.errors.find("prompt 5 tokens (4 cached)") != std::string::npos);
    BOOST_TEST(child.errors.find("2 tokens at 50.0 tokens/s") != std::string::npos);
    const json::value body = json::parse(server.requests().at(0).body);
    BOOST_TEST(body.at("prompt").as_string() == "a \"prompt\"");
    BOOST_TEST(body.at("max_tokens").as_int64() == 7);
    BOOST_TEST(body.at("stream").as_bool());
    BOOST_TEST(server.requests().at(0).head.starts_with("POST /v1/completions HTTP/1.1\r\n"));
}

BOOST_AUTO_TEST_CASE(run_reads_standard_input) {
    FakeServer server([](const Request& request, Peer& peer) {
        peer.begin_events();
        peer.send_event(
            text_event(std::string(json::parse(request.body).at("prompt").as_string())));
        peer.end_events();
    });
    for (const bool dash : {false, true}) {
        Child child(kProgram, with_socket(server, dash ? std::vector<std::string>{"run", "-"}
                                                       : std::vector<std::string>{"run"}));
        child.write("two\nlines\n\n");
        child.close_input();
        BOOST_TEST(child.wait() == 0);
        BOOST_TEST(child.output == "two\nlines\n");  // one newline dropped from the prompt
    }
}

BOOST_AUTO_TEST_CASE(an_interrupt_closes_the_connection_and_exits_130) {
    std::promise<bool> closed;
    FakeServer server([&closed](const Request&, Peer& peer) {
        peer.begin_events();
        peer.send_event(text_event("Once"));
        closed.set_value(peer.wait_closed(20000));
    });
    Child child(kProgram, with_socket(server, {"run", "x"}));
    BOOST_TEST(child.expect("Once"));
    child.signal(SIGINT);
    BOOST_TEST(closed.get_future().get());
    BOOST_TEST(child.wait() == 130);
    BOOST_TEST(child.output == "Once\n");
    BOOST_TEST(child.errors.empty());
}

BOOST_AUTO_TEST_CASE(an_interrupt_while_nothing_has_come_yet_exits_130) {
    std::promise<void> asked;
    FakeServer server([&asked](const Request&, Peer& peer) {
        asked.set_value();
        peer.wait_closed(20000);
    });
    Child child(kProgram, with_socket(server, {"health"}));
    asked.get_future().wait();
    child.signal(SIGINT);
    BOOST_TEST(child.wait() == 130);
    BOOST_TEST((child.output + child.errors).empty());
}

BOOST_AUTO_TEST_CASE(a_background_job_that_ignores_interrupts_goes_on) {
    std::promise<void> go_on;
    FakeServer server([&go_on](const Request&, Peer& peer) {
        peer.begin_events();
        peer.send_event(text_event("a"));
        go_on.get_future().wait();
        peer.send_event(text_event("b"));
        peer.end_events();
    });
    Child child(kProgram, with_socket(server, {"run", "x"}), Child::On::pipes, {SIGINT});
    BOOST_TEST(child.expect("a"));
    child.signal(SIGINT);
    go_on.set_value();
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output == "ab\n");
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_ends_the_request_quietly) {
    for (const std::vector<int>& ignored : {std::vector<int>{}, std::vector<int>{SIGPIPE}}) {
        std::promise<bool> closed;
        FakeServer server([&closed](const Request&, Peer& peer) {
            peer.begin_events();
            peer.send_event(text_event("first"));
            bool gone = false;
            for (int i = 0; i < 2000 && !gone; ++i) {
                gone = !peer.send_event(text_event("more")) || peer.wait_closed(10);
            }
            closed.set_value(gone);
        });
        Child child(kProgram, with_socket(server, {"run", "x"}), Child::On::pipes, ignored);
        BOOST_TEST(child.expect("first"));
        child.close_output();
        BOOST_TEST(closed.get_future().get());
        BOOST_TEST(child.wait() == 141);
        BOOST_TEST(child.errors.empty());
    }
}

BOOST_AUTO_TEST_CASE(output_that_cannot_be_written_exits_1) {
    if (::access("/dev/full", W_OK) != 0) {
        BOOST_TEST_MESSAGE("no /dev/full: skipped");
        return;
    }
    FakeServer server(
        [](const Request&, Peer& peer) { peer.send_json(200, R"({"status":"ok"})"); });
    Child child("/bin/sh",
                {"-c", kProgram + " --socket " + server.address() + " health >/dev/full"});
    BOOST_TEST(child.wait() == 1);
    BOOST_TEST(child.errors == "kvasir: standard output: No space left on device\n");
}

BOOST_AUTO_TEST_CASE(nobody_listening_exits_3_and_says_where) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"--socket", "/nonexistent/kvasir.sock", "run", "x"},
                                               {"--socket", "/nonexistent/kvasir.sock", "chat"},
                                               {"--socket", "/" + std::string(200, 'x'), "health"},
                                               {"--url", "127.0.0.1:1", "models"}}) {
        Child child(kProgram, arguments);
        child.write("hello\n");
        child.close_input();
        BOOST_TEST(child.wait() == 3);
        BOOST_TEST(child.errors.find("cannot connect to " + arguments[1]) != std::string::npos,
                   child.errors);
        BOOST_TEST(child.output.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_servers_error_exits_1_with_its_message) {
    FakeServer server([](const Request&, Peer& peer) {
        peer.send_json(400, R"({"error":{"message":"prompt: 9000 tokens, expected at most 4096",)"
                            R"("type":"invalid_request_error","code":"context_length_exceeded"}})");
    });
    for (const auto& command : std::vector<std::vector<std::string>>{{"run", "x"},
                                                                     {"health"},
                                                                     {"models"},
                                                                     {"metrics"},
                                                                     {"tokenize", "x"},
                                                                     {"run", "--json", "x"}}) {
        Child child(kProgram, with_socket(server, command));
        BOOST_TEST(child.wait() == 1);
        BOOST_TEST(child.errors ==
                   "kvasir: prompt: 9000 tokens, expected at most 4096 (context_length_exceeded) "
                   "(HTTP 400)\n");
    }
}

BOOST_AUTO_TEST_CASE(answers_that_break_off_exit_1) {
    using Broken = std::pair<std::string, std::string>;  // what is sent, what the message says
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for (const auto& [bytes, message] :
         {Broken{"", "without an answer"}, Broken{"HTTP/1.1 200 OK\r\nConte", "within its answer"},
          Broken{"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"},
          Broken{head + "data: " + text_event("Once") + "\n\n", "within its answer"},
          Broken{head + "data: {\n\n", "expected a JSON object"},
          Broken{head + "data: {\"error\":{\"message\":\"device lost\"}}\n\n", "device lost"},
          Broken{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no event stream"},
          Broken{"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", "HTTP 503"}}) {
        FakeServer server([&bytes = bytes](const Request&, Peer& peer) { peer.send(bytes); });
        Child child(kProgram, with_socket(server, {"run", "x"}));
        BOOST_TEST(child.wait() == 1, bytes);
        BOOST_TEST(child.errors.find(message) != std::string::npos, child.errors);
    }
}

BOOST_AUTO_TEST_CASE(a_refusal_that_comes_before_the_body_is_read_is_shown) {
    FakeServer server(
        [](const Request&, Peer& peer) {
            peer.send_json(413, R"({"error":{"message":"body: too large"}})");
            peer.wait_closed(20000);
        },
        FakeServer::Transport::unix_socket, false);
    Child child(kProgram, with_socket(server, {"run"}));
    child.write(std::string(16 << 20, 'x'));
    child.close_input();
    BOOST_TEST(child.wait() == 1);
    BOOST_TEST(child.errors == "kvasir: body: too large (HTTP 413)\n");
}

BOOST_AUTO_TEST_CASE(a_model_cannot_command_the_terminal) {
    FakeServer server([](const Request&, Peer& peer) {
        peer.begin_events();
        peer.send_event(text_event("a\x1b]0;owned\x07z"));
        peer.end_events();
    });
    Child shown(kProgram, with_socket(server, {"run", "x"}), Child::On::terminal);
    BOOST_TEST(shown.wait() == 0);
    BOOST_TEST(shown.output == "a^[]0;owned^Gz\r\n");
    Child piped(kProgram, with_socket(server, {"run", "x"}));
    BOOST_TEST(piped.wait() == 0);
    BOOST_TEST(piped.output == "a\x1b]0;owned\x07z\n");
}

BOOST_AUTO_TEST_CASE(json_prints_the_servers_answer) {
    std::atomic<int> n_whole{0};  // Boost.Test's checks are the main thread's alone
    FakeServer server([&n_whole](const Request& request, Peer& peer) {
        if (request.head.starts_with("POST") && !json::parse(request.body).at("stream").as_bool())
            ++n_whole;
        peer.send_json(200, R"({"any":"thing"})");
    });
    for (const auto& command :
         std::vector<std::vector<std::string>>{{"run", "x", "--json"}, {"--json", "health"}}) {
        Child child(kProgram, with_socket(server, command));
        BOOST_TEST(child.wait() == 0);
        BOOST_TEST(child.output == "{\"any\":\"thing\"}\n");
    }
    BOOST_TEST(n_whole == 1);
}

BOOST_AUTO_TEST_CASE(questions_print_text_for_people) {
    FakeServer server([](const Request& request, Peer& peer) {
        if (request.head.starts_with("GET /health "))
            peer.send_json(200, R"({"status":"ok","n":3})");
        if (request.head.starts_with("GET /v1/models "))
            peer.send_json(200, R"({"data":[{"id":"a"},{"id":"b"}]})");
        if (request.head.starts_with("GET /metrics ")) peer.send_json(200, "x 1\n");
        if (request.head.starts_with("GET /v1/sessions ")) {
            peer.send_json(200,
                           R"({"data":[{"id":"a\nb","context":null,"tokens":64,"pages":2,)"
                           R"("bytes":110592,"requests":3,"idle_seconds":7.2,"tier":"host"}]})");
        }
        if (request.head.starts_with("DELETE /v1/sessions/tea%20time%2F1 "))
            peer.send_json(200, R"({"deleted":true,"freed_pages":2})");
        if (request.head.starts_with("GET /v1/cache ")) peer.send_json(200, R"({"pages":9})");
        if (request.head.starts_with("POST /tokenize ")) peer.send_json(200, R"({"tokens":[5,6]})");
    });
    const auto output_of = [&server](const std::vector<std::string>& command) {
        Child child(kProgram, with_socket(server, command));
        BOOST_TEST(child.wait() == 0);
        return child.output;
    };
    BOOST_TEST(output_of({"health"}) == "status: ok\nn: 3\n");
    BOOST_TEST(output_of({"models"}) == "a\nb\n");
    BOOST_TEST(output_of({"metrics"}) == "x 1\n");
    BOOST_TEST(output_of({"metrics", "--json"}) == "{\"x\":1}\n");
    const std::string sessions = output_of({"ps"});
    BOOST_TEST(sessions.find("SESSION") == 0U);
    const std::string line = sessions.substr(sessions.find('\n') + 1);
    BOOST_TEST(line.find("a?b ") == 0U);
    for (const char* figure : {" 64 ", " 2 ", " 108 ", " 3 ", " 7 ", " host "})
        BOOST_TEST(line.find(figure) != std::string::npos, figure << " in " << line);
    BOOST_TEST(output_of({"end", "tea time/1"}) == "deleted: true\nfreed_pages: 2\n");
    BOOST_TEST(output_of({"cache"}) == "pages: 9\n");
    BOOST_TEST(output_of({"tokenize", "a b"}) == "5 6\n");
    BOOST_TEST(server.requests().back().body == R"({"content":"a b"})");
}

BOOST_AUTO_TEST_CASE(tcp_carries_the_key_and_the_host) {
    FakeServer server([](const Request&, Peer& peer) { peer.send_json(200, "{}"); },
                      FakeServer::Transport::tcp);
    const std::string path = "/tmp/kvasir-test-key-" + std::to_string(::getpid());
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    BOOST_REQUIRE(::write(fd, "sesame domain\n", 14) == 14);
    ::close(fd);
    Child child(kProgram, {"--url", server.address(), "--api-key-file", path, "health"});
    BOOST_TEST(child.wait() == 0);
    ::unlink(path.c_str());
    const std::string head = server.requests().at(0).head + "\r\n";
    BOOST_TEST(head.find("\r\nAuthorization: Bearer sesame\r\n") != std::string::npos);
    BOOST_TEST(head.find("\r\nHost: " + server.address() + "\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_piped_chat_sends_the_whole_history) {
    FakeServer server(reply_to_chat);
    Child child(kProgram, with_socket(server, {"chat", "--system", "be brief"}));
    child.write("one\\\nmore\n\n/stats\ntwo\n/clear\nthree");
    child.close_input();
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output == "reply to one\nmore\nreply to two\nreply to three\n");
    BOOST_TEST(child.errors.find("prompt 5 tokens (4 cached)") != std::string::npos);
    const auto requests = server.requests();
    BOOST_REQUIRE(requests.size() == 3U);
    BOOST_TEST(
        json::serialize(json::parse(requests[1].body).at("messages")) ==
        R"([{"role":"system","content":"be brief"},{"role":"user","content":"one\nmore"},)"
        R"({"role":"assistant","content":"reply to one\nmore"},{"role":"user","content":"two"}])");
    BOOST_TEST(json::serialize(json::parse(requests[2].body).at("messages")) ==
               R"([{"role":"system","content":"be brief"},{"role":"user","content":"three"}])");
}

BOOST_AUTO_TEST_CASE(blocks_of_lines_are_one_message) {
    FakeServer server(reply_to_chat);
    Child child(kProgram, with_socket(server, {"chat", "--session", "tea time"}));
    child.write(
        "\"\"\"one\n\n  two\\\n/stats\"\"\"\n\"\"\"\nthree\n\"\"\"\n\"\"\"four\"\"\"\n\"\"\"left "
        "open");
    child.close_input();
    BOOST_TEST(child.wait() == 0);
    BOOST_TEST(child.output ==
               "reply to one\n\n  two\\\n/stats\nreply to three\nreply to four\n"
               "reply to left open\n");
    const auto requests = server.requests();
    BOOST_REQUIRE(requests.size() == 4U);  // a session that was named is not ended
    BOOST_TEST(json::parse(requests[3].body).at("session_id").as_string() == "tea time");
}

BOOST_AUTO_TEST_CASE(a_chat_says_what_the_server_keeps) {
    FakeServer server([](const Request& request, Peer& peer) {
        if (request.head.starts_with("GET /v1/sessions/tea ")) {
            peer.send_json(200, R"({"id":"tea","tokens":64,"pages":2,"bytes":110592,"requests":3,)"
                                R"("cached_tokens":32,"tier":"host","expires_in_seconds":7.2})");
        } else if (request.head.starts_with("GET ")) {
            peer.send_json(404, R"({"error":{"message":"no such session"}})");
        } else {
            reply_to_chat(request, peer);
        }
    });
    Child child(kProgram, with_socket(server, {"chat"}));
    child.write("/session\n/session tea\n/session\n/new\n/session x/y\n/session\nhello\n");
    child.close_input();
    BOOST_TEST(child.wait() == 0);
    for (const char* text :
         {"No session", "tea: 64 tokens, 2 pages, 108.0 KiB on host", "3 requests found 32 tokens",
          "kept 7s more", "forgotten", "x/y: the server keeps nothing of it"})
        BOOST_TEST(child.errors.find(text) != std::string::npos, text << " in " << child.errors);
    BOOST_TEST(json::parse(last_chat(server).body).at("session_id").as_string() == "x/y");
    const auto is_encoded = [](const Request& r) {
        return r.head.starts_with("GET /v1/sessions/x%2Fy ");
    };
    BOOST_TEST(std::ranges::any_of(server.requests(), is_encoded));
}

BOOST_AUTO_TEST_CASE(a_tilde_in_save_is_home) {
    FakeServer server(reply_to_chat);
    Child child(kProgram, with_socket(server, {"chat"}));
    child.write("/save ~/talk.json\n");
    child.close_input();
    BOOST_TEST(child.wait() == 1);
    BOOST_TEST(child.errors.find("/nonexistent/talk.json: No such file") != std::string::npos,
               child.errors);
}

BOOST_AUTO_TEST_CASE(lists_can_be_names_alone) {
    FakeServer server([](const Request&, Peer& peer) {
        peer.send_json(200, R"({"data":[{"id":"a b"},{"id":"c\nd"},{"no":1},7]})");
    });
    for (const auto& command : std::vector<std::vector<std::string>>{
             {"ps", "-q"}, {"prefix", "list", "-q"}, {"models", "--quiet"}}) {
        Child child(kProgram, with_socket(server, command));
        BOOST_TEST(child.wait() == 0);
        BOOST_TEST(child.output == "a b\nc?d\n");
    }
}

BOOST_AUTO_TEST_CASE(thoughts_are_for_terminals) {
    const auto think = [](const Request&, Peer& peer) {
        peer.begin_events();
        peer.send_event(R"({"choices":[{"delta":{"reasoning_content":"hm\u001b[2J"}}]})");
        peer.send_event(delta_event("Yes."));
        peer.end_events();
    };
    FakeServer server(think);
    Child piped(kProgram, with_socket(server, {"chat"}));
    piped.write("so?\n");
    piped.close_input();
    BOOST_TEST(piped.wait() == 0);
    BOOST_TEST(piped.output == "Yes.\n");
    Child shown(kProgram, with_socket(server, {"run", "so?"}), Child::On::terminal);
    BOOST_TEST(shown.wait() == 0);
    BOOST_TEST(shown.output == "\x1b[2;3mhm^[[2J\x1b[0m\r\nYes.\r\n");
}

BOOST_AUTO_TEST_CASE(a_piped_chat_ends_at_an_error) {
    FakeServer server(
        [](const Request&, Peer& peer) { peer.send_json(500, R"({"error":{"message":"no"}})"); });
    Child child(kProgram, with_socket(server, {"chat"}));
    child.write("one\ntwo\n");
    child.close_input();
    BOOST_TEST(child.wait() == 1);
    BOOST_TEST(server.requests().size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_chat_on_a_terminal_can_be_edited_and_goes_on_after_errors) {
    FakeServer server([](const Request& request, Peer& peer) {
        if (request.body.find("fail") != std::string::npos) {
            peer.send_json(500, R"({"error":{"message":"broken"}})");
        } else if (!request.body.empty()) {
            reply_to_chat(request, peer);
        }
    });
    Child child(kProgram, with_socket(server, {"chat"}), Child::On::terminal);
    BOOST_TEST(child.expect_prompt());
    child.write("h\xC3\xA9x\x7Fllo\n");  // a character is erased, the accent stays whole
    BOOST_TEST(child.expect("reply to h\xC3\xA9llo"));
    BOOST_TEST(child.expect_prompt());
    child.write("fail\n");
    BOOST_TEST(child.expect("broken (HTTP 500)"));
    BOOST_TEST(child.expect_prompt());
    child.write("\x1b[A\x1b[A\n");  // two up in the history
    BOOST_TEST(child.expect("reply to h\xC3\xA9llo"));
    BOOST_TEST(child.expect_prompt());
    child.write("\x04");
    BOOST_TEST(child.wait() == 0);
    const json::value body = json::parse(last_chat(server).body);
    BOOST_TEST(body.at("messages").as_array().size() == 3U);  // the failed one is not among them
    // The conversation had a session of its own, which has ended with it.
    const std::string session(body.at("session_id").as_string());
    BOOST_TEST(server.requests().back().head.starts_with("DELETE /v1/sessions/" + session + " "));
}

BOOST_AUTO_TEST_CASE(ctrl_c_in_a_chat_cancels_then_clears_then_ends) {
    std::promise<bool> closed;
    FakeServer server([&closed](const Request& request, Peer& peer) {
        if (request.body.find("forever") == std::string::npos) return;
        if (request.body.find("again") != std::string::npos) return reply_to_chat(request, peer);
        peer.begin_events();
        peer.send_event(delta_event("so far"));
        closed.set_value(peer.wait_closed(20000));
    });
    Child child(kProgram, with_socket(server, {"chat"}), Child::On::terminal);
    BOOST_TEST(child.expect_prompt());
    child.write("forever\n");
    BOOST_TEST(child.expect("so far"));
    child.write("\x03");
    BOOST_TEST(closed.get_future().get());
    BOOST_TEST(child.expect_prompt());
    child.write("again\n");
    BOOST_TEST(child.expect("reply to again"));
    BOOST_TEST(child.expect_prompt());
    child.write("half a line");
    BOOST_TEST(child.expect("half a line"));
    child.write("\x03");  // drops the line, and does not count towards leaving
    BOOST_TEST(child.expect_prompt());
    child.write("\x03");
    BOOST_TEST(child.expect("again ends"));
    BOOST_TEST(child.expect_prompt());
    child.write("\x03");
    BOOST_TEST(child.wait() == 130);
    const json::value body = json::parse(last_chat(server).body);
    BOOST_TEST(json::serialize(body.at("messages")) ==
               R"([{"role":"user","content":"forever"},{"role":"assistant","content":"so far"},)"
               R"({"role":"user","content":"again"}])");
}

BOOST_AUTO_TEST_SUITE_END()
