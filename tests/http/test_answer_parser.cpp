#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <map>
#include <ostream>
#include <random>

#include "daemon/http/answer_parser.hpp"

using namespace kvasir;

namespace {

struct Case {
    const char* name;
    CallSyntax syntax;
    bool has_thoughts;
    bool begins_in_thought;
    const char* written;
    const char* text;
    const char* thoughts;
    std::vector<std::pair<const char*, const char*>> calls;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.name;
}

const std::vector<Case> kCases = {
    {"text",
     CallSyntax::hermes,
     false,
     false,
     "Hello {\"name\": 1} <tool",
     "Hello {\"name\": 1} <tool",
     "",
     {}},
    {"hermes",
     CallSyntax::hermes,
     false,
     false,
     "Let me look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"sea}\\\"\", \"n\": "
     "[1, {}]}}\n</tool_call>",
     "Let me look.",
     "",
     {{"look", "{\"at\": \"sea}\\\"\", \"n\": [1, {}]}"}}},
    {"hermes, two",
     CallSyntax::hermes,
     false,
     false,
     "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": "
     "\"look\"}</tool_call>\n<tool_call>{\"name\": \"sum\"}</tool_call> bye",
     "bye",
     "",
     {{"look", "{\"a\": 1}"}, {"sum", "{}"}}},
    {"hermes, unknown function",
     CallSyntax::hermes,
     false,
     false,
     "<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\": \"fly\", \"arguments\": {}}</tool_call>",
     "",
     {}},
    {"hermes, no JSON",
     CallSyntax::hermes,
     false,
     false,
     "<tool_call>look at the sea</tool_call>",
     "<tool_call>look at the sea</tool_call>",
     "",
     {}},
    {"hermes, cut",
     CallSyntax::hermes,
     false,
     false,
     "<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": \"s",
     "",
     "",
     {{"look", "{\"at\": \"s"}}},
    {"hermes, cut before the name",
     CallSyntax::hermes,
     false,
     false,
     "So <tool_call>{\"na",
     "So<tool_call>{\"na",
     "",
     {}},
    {"mistral",
     CallSyntax::mistral,
     false,
     false,
     "[TOOL_CALLS] [{\"name\": \"look\", \"arguments\": {\"at\": \"[sea]\"}}, {\"name\": \"sum\", "
     "\"arguments\": {}}]",
     "",
     "",
     {{"look", "{\"at\": \"[sea]\"}"}, {"sum", "{}"}}},
    {"mistral, named",
     CallSyntax::mistral,
     false,
     false,
     "Yes.[TOOL_CALLS]look[ARGS]{\"at\": {\"x\": 1}}[TOOL_CALLS]sum[ARGS]{}",
     "Yes.",
     "",
     {{"look", "{\"at\": {\"x\": 1}}"}, {"sum", "{}"}}},
    {"mistral, unknown",
     CallSyntax::mistral,
     false,
     false,
     "[TOOL_CALLS]fly[ARGS]{}",
     "[TOOL_CALLS]fly[ARGS]{}",
     "",
     {}},
    {"object",
     CallSyntax::object,
     false,
     false,
     "{\"name\": \"look\", \"parameters\": {\"at\": \"sea\"}}",
     "",
     "",
     {{"look", "{\"at\": \"sea\"}"}}},
    {"object, tagged, two",
     CallSyntax::object,
     false,
     false,
     "<|python_tag|>{\"type\": \"function\", \"name\": \"look\", \"parameters\": {}}; {\"name\": "
     "\"sum\", \"parameters\": {\"a\":1}}",
     "",
     "",
     {{"look", "{}"}, {"sum", "{\"a\":1}"}}},
    {"object that is an answer",
     CallSyntax::object,
     false,
     false,
     " {\"name\": \"Ada\", \"age\": 3}",
     "{\"name\": \"Ada\", \"age\": 3}",
     "",
     {}},
    {"object within text",
     CallSyntax::object,
     false,
     false,
     "Look: {\"name\": \"look\"}",
     "Look: {\"name\": \"look\"}",
     "",
     {}},
    {"arguments as a string",
     CallSyntax::object,
     false,
     false,
     "{\"name\": \"look\", \"arguments\": \"{\\\"at\\\": \\\"sea\\\"}\"}",
     "",
     "",
     {{"look", "{\"at\": \"sea\"}"}}},
    {"thoughts",
     CallSyntax::none,
     true,
     false,
     "<think>\nHm, <tool_call>? \n</think>\n\nNo.",
     "No.",
     "Hm, <tool_call>?",
     {}},
    {"thoughts begun", CallSyntax::none, true, true, "\nHm.</think>No.", "No.", "Hm.", {}},
    {"thoughts without end", CallSyntax::none, true, false, "<think>Hm </thi", "", "Hm </thi", {}},
    {"no thoughts", CallSyntax::none, true, false, "  <thin air>", "  <thin air>", "", {}},
    {"empty thoughts, then a call",
     CallSyntax::hermes,
     true,
     false,
     "<think>\n\n</think>\n\n<tool_call>\n{\"name\": \"sum\", \"arguments\": {}}\n</tool_call>",
     "",
     "",
     {{"sum", "{}"}}},
    {"thoughts, then an object",
     CallSyntax::object,
     true,
     true,
     "Hm.\n</think>\n\n{\"name\": \"sum\", \"arguments\": {}}",
     "",
     "Hm.",
     {{"sum", "{}"}}},
    {"thoughts are thought once",
     CallSyntax::none,
     true,
     false,
     "<think>a</think>b<think>c</think>",
     "b<think>c</think>",
     "a",
     {}},
};

struct Read {
    std::string text, thoughts;
    std::vector<std::pair<std::string, std::string>> calls;
};

void add(Read& read, const AnswerPart& part) {
    read.text += part.text;
    read.thoughts += part.thoughts;
    for (const AnswerPart::Call& call : part.calls) {
        // A call's name comes first, and calls come one after the other.
        if (!call.name.empty()) read.calls.emplace_back(call.name, "");
        BOOST_REQUIRE_EQUAL(call.index + 1, read.calls.size());
        read.calls.back().second += call.arguments;
    }
}

AnswerParser::Options options_of(const Case& c) {
    return {.syntax = c.syntax,
            .has_thoughts = c.has_thoughts,
            .begins_in_thought = c.begins_in_thought,
            .functions = {"look", "sum"}};
}

void check(const Read& read, const Case& c) {
    BOOST_TEST(read.text == c.text);
    BOOST_TEST(read.thoughts == c.thoughts);
    BOOST_REQUIRE_EQUAL(read.calls.size(), c.calls.size());
    for (std::size_t i = 0; i < c.calls.size(); ++i) {
        BOOST_TEST(read.calls[i].first == c.calls[i].first);
        BOOST_TEST(read.calls[i].second == c.calls[i].second);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(answer_parser)

BOOST_DATA_TEST_CASE(what_a_model_writes_is_parted, boost::unit_test::data::make(kCases), c) {
    const std::string written = c.written;
    AnswerParser whole(options_of(c));
    Read read;
    AnswerPart part;
    whole.push(written, part);
    whole.finish(part);
    add(read, part);
    check(read, c);
    // Cut anywhere, the parts are the same together.
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
        AnswerParser parser(options_of(c));
        Read pieces;
        for (std::size_t at = 0; at < written.size();) {
            const std::size_t n = 1 + (round == 0 ? 0 : random() % 7);
            AnswerPart piece;
            parser.push(std::string_view(written).substr(at, n), piece);
            add(pieces, piece);
            at += n;
        }
        AnswerPart last;
        parser.finish(last);
        add(pieces, last);
        check(pieces, c);
    }
}

BOOST_AUTO_TEST_CASE(arguments_come_while_they_are_written) {
    AnswerParser parser({.syntax = CallSyntax::hermes, .functions = {"look"}});
    AnswerPart part;
    parser.push("<tool_call>{\"name\": \"look\", \"arguments\": {\"at\": \"the s", part);
    BOOST_REQUIRE_EQUAL(part.calls.size(), 1);
    BOOST_TEST(part.calls[0].name == "look");
    BOOST_TEST(part.calls[0].arguments == "{\"at\": \"the s");
    part = {};
    parser.push("ea", part);
    BOOST_REQUIRE_EQUAL(part.calls.size(), 1);
    BOOST_TEST(part.calls[0].name.empty());
    BOOST_TEST(part.calls[0].arguments == "ea");
}

BOOST_AUTO_TEST_CASE(any_text_comes_out_or_is_a_call) {
    // Random pieces of the languages themselves: nothing is lost where no call was read.
    const std::vector<std::string> pieces = {"<think>",
                                             "</think>",
                                             "<tool_call>",
                                             "</tool_call>",
                                             "[TOOL_CALLS]",
                                             "[ARGS]",
                                             "{",
                                             "}",
                                             "\"name\"",
                                             ":",
                                             "\"look\"",
                                             "\"arguments\"",
                                             "\"",
                                             ",",
                                             "[",
                                             "]",
                                             " ",
                                             "\n",
                                             "<",
                                             "tool",
                                             "\\",
                                             "x",
                                             "<|python_tag|>",
                                             ";"};
    std::mt19937 random(11);
    for (int round = 0; round < 30'000; ++round) {
        AnswerParser::Options options{.syntax = static_cast<CallSyntax>(random() % 4),
                                      .has_thoughts = random() % 2 == 0,
                                      .begins_in_thought = random() % 4 == 0,
                                      .functions = {"look"}};
        AnswerParser parser(options);
        std::string written;
        Read read;
        const std::size_t n = random() % 25;
        for (std::size_t i = 0; i < n; ++i) {
            const std::string& piece = pieces[random() % pieces.size()];
            written += piece;
            AnswerPart part;
            parser.push(piece, part);
            add(read, part);
        }
        AnswerPart last;
        parser.finish(last);
        add(read, last);
        BOOST_REQUIRE_EQUAL(parser.has_calls(), !read.calls.empty());
        if (!read.calls.empty() || options.has_thoughts) continue;
        const auto without_space = [](std::string text) {
            std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
            return text;
        };
        BOOST_REQUIRE_EQUAL(without_space(read.text), without_space(written));
    }
}

BOOST_AUTO_TEST_CASE(templates_show_their_language) {
    BOOST_TEST((find_call_syntax("{{ messages }}") == CallSyntax::none));
    BOOST_TEST((find_call_syntax("{% if tools %}<tool_call>{% endif %}") == CallSyntax::hermes));
    BOOST_TEST(
        (find_call_syntax("{% if tools %}<tool_call><function={% endif %}") == CallSyntax::object));
    BOOST_TEST((find_call_syntax("{% if tools %}[TOOL_CALLS]{% endif %}") == CallSyntax::mistral));
    BOOST_TEST((find_call_syntax("{% if tools %}{\"name\": function name}{% endif %}") ==
                CallSyntax::object));
    BOOST_TEST(ends_in_thought("<|im_start|>assistant\n<think>\n"));
    BOOST_TEST(!ends_in_thought("<think></think>\n"));
    BOOST_TEST(!ends_in_thought(""));
}

BOOST_AUTO_TEST_SUITE_END()
