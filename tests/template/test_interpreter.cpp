// Details of the language, against what Jinja2 3.1.6 printed for the same templates (sandboxed,
// trim_blocks, lstrip_blocks, loop controls); errors; limits.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <sstream>

#include "daemon/template/chat_template.hpp"

namespace {

namespace json = boost::json;
using kvasir::ChatTemplate;
using kvasir::ErrorCode;

kvasir::Result<std::string> render(std::string_view source, const json::object& variables = {},
                                   const kvasir::TemplateOptions& options = {}) {
    KVASIR_TRY(const ChatTemplate chat, ChatTemplate::create(source, options));
    return chat.render(variables, kvasir::TemplateTime::parse("2026-11-20T09:30:00").value());
}

std::string text(std::string_view source) {
    return render(source).value();
}

void check_error(std::string_view source, ErrorCode code, std::string_view message) {
    const auto rendered = render(source);
    BOOST_TEST(rendered.has_error(), source << " did not fail");
    if (!rendered.has_error()) return;
    BOOST_TEST(kvasir::to_string(rendered.error().code) == kvasir::to_string(code), source);
    BOOST_TEST(rendered.error().message.find(message) != std::string::npos,
               source << ": " << rendered.error().message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(interpreter)

BOOST_AUTO_TEST_CASE(prints_what_jinja2_prints) {
    std::ifstream file(KVASIR_TEST_DATA "/template_cases.json");
    std::ostringstream cases;
    cases << file.rdbuf();
    const json::value all = json::parse(cases.str());
    for (const json::value& one : all.at("cases").as_array()) {
        const std::string source(one.at(0).as_string());
        const auto rendered = render(source, all.at("variables").as_object());
        BOOST_TEST(rendered.has_value(),
                   source << ": " << (rendered.has_error() ? rendered.error().message : ""));
        if (rendered.has_value())
            BOOST_TEST(*rendered == std::string(one.at(1).as_string()), source);
    }
}

BOOST_AUTO_TEST_CASE(errors_name_the_line_and_what) {
    check_error("a\n{% if x %}", ErrorCode::corrupt, "line 2: the template ends, expected 'endif'");
    check_error("\n\n{{ 1 + }}", ErrorCode::corrupt, "line 3: unexpected");
    check_error("{{ 'a }}", ErrorCode::corrupt, "closing quote");
    check_error("{# a", ErrorCode::corrupt, "comment without #}");
    check_error("{% raw %}x", ErrorCode::corrupt, "raw without endraw");
    check_error("{{ (1] }}", ErrorCode::corrupt, "unexpected ']', expected ')'");
    check_error("{% frobnicate %}", ErrorCode::corrupt, "'frobnicate'");
    check_error("{% break %}", ErrorCode::corrupt, "outside a loop");
    check_error("{{ 99999999999999999999 }}", ErrorCode::corrupt, "64 bits");
    check_error("{% include 'x' %}", ErrorCode::unsupported, "'include'");
    check_error("a\n{{ x.y }}", ErrorCode::invalid_argument, "line 2: 'x' is undefined");
    check_error("{{ raise_exception('no ' ~ 'way') }}", ErrorCode::invalid_argument,
                "line 1: no way");
    check_error("{{ 1|frobnicate }}", ErrorCode::invalid_argument, "no filter named 'frobnicate'");
    check_error("{{ 1 is frobnicate }}", ErrorCode::invalid_argument, "no test named");
    check_error("{{ 'a' + 1 }}", ErrorCode::invalid_argument, "can only concatenate str");
    check_error("{{ 1 < 'a' }}", ErrorCode::invalid_argument, "'<' not supported");
    check_error("{{ x|tojson }}", ErrorCode::invalid_argument, "not JSON serializable");
    check_error("{{ 1 // 0 }}", ErrorCode::invalid_argument, "zero");
    check_error("{{ 9223372036854775807 + 1 }}", ErrorCode::invalid_argument, "overflow");
    check_error("{% macro m(a) %}{% endmacro %}\n{{ m(1, 2) }}", ErrorCode::invalid_argument,
                "line 2: macro 'm' takes not more than 1");
    check_error("{% for a, b in [(1, 2, 3)] %}{% endfor %}", ErrorCode::invalid_argument, "unpack");
}

BOOST_AUTO_TEST_CASE(the_sandbox_refuses_what_changes_or_escapes) {
    check_error("{{ [].append(1) }}", ErrorCode::invalid_argument, "'append' of 'list'");
    check_error("{{ {}.update(a=1) }}", ErrorCode::invalid_argument, "'update' of 'dict'");
    check_error("{{ ''.__class__.__mro__ }}", ErrorCode::invalid_argument, "unsafe");
    check_error("{{ '{0.__class__}'.format('') }}", ErrorCode::invalid_argument, "unsafe");
    check_error("{% set d = {} %}{% set d.a = 1 %}", ErrorCode::invalid_argument, "namespace");
}

BOOST_AUTO_TEST_CASE(generation_blocks_are_an_option) {
    const std::string source = "{% generation %}{% set a = 1 %}{{ a }}{% endgeneration %}{{ a }}";
    BOOST_TEST(text(source) == "1");
    kvasir::TemplateOptions plain;
    plain.generation_blocks = false;
    BOOST_TEST(render(source, {}, plain).has_error());
}

BOOST_AUTO_TEST_CASE(recursive_loops_and_depth) {
    const json::object variables{
        {"tree", json::parse(R"([{"n": "a", "c": [{"n": "b", "c": []}]}, {"n": "d", "c": []}])")}};
    BOOST_TEST(render("{% for t in tree recursive %}{{ loop.depth }}{{ t.n }}"
                      "{% if t.c %}({{ loop(t.c) }}){% endif %}{% endfor %}",
                      variables)
                   .value() == "1a(2b)1d");
}

BOOST_AUTO_TEST_CASE(the_time_is_the_one_given) {
    BOOST_TEST(text("{{ strftime_now('%d %b %Y, %A %H:%M:%S %j %-d') }}") ==
               "20 Nov 2026, Friday 09:30:00 324 20");
    BOOST_TEST(kvasir::TemplateTime::parse("2026-13-01").has_error());
    BOOST_TEST(kvasir::TemplateTime::parse("2026-02-29").has_error());
    BOOST_TEST(kvasir::TemplateTime::parse("2026-11-20T09").has_error());
}

BOOST_AUTO_TEST_CASE(what_grows_without_bound_is_stopped) {
    const std::pair<const char*, const char*> hostile[] = {
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls nested deeper"},
        {"{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}", "calls nested deeper"},
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "steps"},
        {"{{ range(100001)|list }}", "range of 100001 items"},
        {"{{ 'x' * 10 ** 12 }}", "bytes"},
        {"{{ [0] * 10 ** 12 }}", "bytes"},
        {"{{ 'x'.ljust(10 ** 12) }}", "bytes"},
        {"{{ '%1000000000d' % 1 }}", "width"},
        {"{{ '{:1000000000}'.format(1) }}", "width"},
        {"{{ 'x'|indent(10 ** 12) }}", "bytes"},
        {"{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}"
         "{% endfor %}",
         "bytes"},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}"
         "{% endfor %}",
         "bytes"},
        {"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}"
         "{% endfor %}",
         "nested deeper"},
        {"{% set ns = namespace(l=1) %}{% for i in range(999) %}{% set ns.l = [ns.l, ns.l] %}"
         "{% endfor %}{{ ns.l }}",
         "nested deeper"},
        {"{% set ns = namespace(l=1) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
         "{% endfor %}{{ ns.l }}",
         "steps"},
        {"{% set ns = namespace(l=1) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
         "{% endfor %}{{ ns.l|tojson }}",
         "steps"},
        {"{% set x = 'x' * 1000000 %}{% for i in range(99999) %}{{ x }}{% endfor %}", "output"},
        {"{% for i in range(99999) %}{% for j in range(99999) %}{% set n = namespace() %}"
         "{% endfor %}{% endfor %}",
         "than"},
        {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "calls nested deeper"},
    };
    for (const auto& [source, message] : hostile) {
        const auto begin = std::chrono::steady_clock::now();
        check_error(source, ErrorCode::too_large, message);
        BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds(60)), source);
    }
}

BOOST_AUTO_TEST_CASE(deep_sources_are_refused) {
    const auto repeat = [](std::string_view piece, int n) {
        std::string out;
        for (int i = 0; i < n; ++i) out += piece;
        return out;
    };
    for (const std::string& source :
         {"{{ " + repeat("(", 9999) + "1" + repeat(")", 9999) + " }}",
          "{{ " + repeat("[", 9999) + repeat("]", 9999) + " }}",
          "{{ " + repeat("not ", 9999) + "1 }}", "{{ " + repeat("-", 9999) + "1 }}",
          "{{ 1" + repeat(" + 1", 9999) + " }}", "{{ x" + repeat(".a", 9999) + " }}",
          "{{ x" + repeat("|e", 9999) + " }}", "{{ 1" + repeat(" if 1 else 1", 9999) + " }}",
          repeat("{% if 1 %}", 9999), repeat("{% for x in y %}", 9999),
          "{% set " + repeat("(", 9999) + "a" + repeat(")", 9999) + " = 1 %}"}) {
        const auto made = ChatTemplate::create(source);
        BOOST_REQUIRE(made.has_error());
        BOOST_TEST((made.error().code == ErrorCode::too_large), made.error().message);
    }
    BOOST_TEST(ChatTemplate::create(std::string(2 << 20, 'x')).has_error());
    BOOST_TEST(ChatTemplate::create("\xff").has_error());
}

BOOST_AUTO_TEST_CASE(values_that_hold_themselves_end_with_the_rendering) {
    BOOST_TEST(text("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.l = [ns] %}"
                    "{{ ns.me.me.l|length }}") == "1");
    BOOST_TEST(text("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.loop = loop %}"
                    "{% endfor %}{{ ns.loop.index }}{{ ns.loop.previtem is defined }}") ==
               "2False");
    BOOST_TEST(text("{% set ns = namespace() %}{% for i in [1, 2] %}{% macro m() %}{{ i }}"
                    "{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}") == "2");
}

BOOST_AUTO_TEST_SUITE_END()
