// Real chat templates against what Jinja2 made of them: 35 templates, 5 conversations each.
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/template/chat_template.hpp"

namespace {

namespace json = boost::json;
using kvasir::ChatTemplate;

const std::string kGoldens = KVASIR_SHARED_DIR "/golden/templates/";

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool are_here() {
    if (std::filesystem::exists(kGoldens + "expected.json")) return true;
    BOOST_TEST_MESSAGE("SKIPPED: " << kGoldens << "expected.json is not there");
    std::fprintf(stderr, "SKIPPED golden_templates: %sexpected.json is not there\n",
                 kGoldens.c_str());
    return false;
}

/// The goldens come from Jinja2 without the {% generation %} extension.
kvasir::Result<std::string> render(const std::string& source, const json::object& variables,
                                   const kvasir::TemplateTime& now) {
    kvasir::TemplateOptions options;
    options.generation_blocks = false;
    KVASIR_TRY(const ChatTemplate chat, ChatTemplate::create(source, options));
    return chat.render(variables, now);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden_templates)

BOOST_AUTO_TEST_CASE(every_rendering_equals_jinja2s) {
    if (!are_here()) return;
    const json::value all = json::parse(read_file(kGoldens + "expected.json"));
    const auto now = kvasir::TemplateTime::parse(all.at("now").as_string()).value();
    int n_equal = 0, n_errors = 0;
    for (const auto& [name, renderings] : all.at("expected").as_object()) {
        const std::string source = read_file(kGoldens + std::string(name));
        for (const auto& [conversation, expected] : renderings.as_object()) {
            json::object variables = all.at("conversations").at(conversation).as_object();
            variables["bos_token"] = all.at("bos_token");
            variables["eos_token"] = all.at("eos_token");
            const auto rendered = render(source, variables, now);
            const std::string where = std::string(name) + ", " + std::string(conversation);
            if (expected.as_object().contains("error")) {
                BOOST_TEST(rendered.has_error(), where << ": expected an error");
                n_errors += rendered.has_error();
                continue;
            }
            if (rendered.has_error()) {
                BOOST_ERROR(where + ": " + rendered.error().message);
                continue;
            }
            const std::string text(expected.at("text").as_string());
            BOOST_TEST(*rendered == text, where);
            n_equal += *rendered == text;
        }
    }
    BOOST_TEST_MESSAGE(n_equal << " equal, " << n_errors << " errors as expected");
    BOOST_TEST(n_equal + n_errors == 175);
}

/// A template that is cut anywhere is refused or rendered, never a crash.
BOOST_AUTO_TEST_CASE(cut_templates_do_not_crash) {
    if (!are_here()) return;
    const json::value all = json::parse(read_file(kGoldens + "expected.json"));
    const json::object& variables = all.at("conversations").at("toolcall").as_object();
    int n_refused = 0, n_tried = 0;
    for (const auto& entry : all.at("expected").as_object()) {
        const std::string source = read_file(kGoldens + std::string(entry.key()));
        for (std::size_t size = 1; size < source.size(); size += 97, ++n_tried)
            n_refused += render(source.substr(0, size), variables, {}).has_error();
    }
    BOOST_TEST(n_refused > n_tried / 2);
}

BOOST_AUTO_TEST_SUITE_END()
