#include <boost/test/unit_test.hpp>
#include <string>

#include "daemon/model/pre_tokenizer.hpp"
#include "daemon/model/pre_tokenizer_dialect.hpp"

namespace kvasir {
namespace {

using Pieces = std::vector<std::string>;
using Cut = PreTokenizerCut;

Pieces split(std::string_view pattern, std::string_view text, Cut cut = Cut::isolate) {
    const PreTokenizerStep steps[] = {{pattern, cut}};
    const auto made = PreTokenizer::create(std::span(steps)).value();
    std::vector<std::string_view> pieces;
    made.split(text, pieces);
    return {pieces.begin(), pieces.end()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pre_tokenizer_dialect)

BOOST_AUTO_TEST_CASE(what_means_something_else_in_pcre2_is_written_out) {
    const struct {
        const char* pattern;
        const char* text;
        Pieces pieces;
    } cases[] = {
        {R"(\s+)", "a \u180eb\u3000", {"a", " ", "\u180eb", "\u3000"}},
        {R"([^\s]+)", "a\u180e b", {"a\u180e", " ", "b"}},
        {R"(\w+)", "a\u0301_!", {"a\u0301_", "!"}},  // marks and connectors are word characters
        {R"([^(a|[b,c])]+)", "xbya", {"x", "b", "y", "a"}},  // a class inside a class
        {R"([[:upper:]x]+)", "aXxb", {"a", "Xx", "b"}},
        {R"(\p{Han}+)", "日、", {"日", "、"}},  // the script, not its extensions
        {R"(a$)", "a\nba", {"a", "\nb", "a"}},  // a line's end
        {R"(\u00e9+)", "éé!", {"éé", "!"}},
        {R"(\[\])", "a[]", {"a", "[]"}},
    };
    for (const auto& c : cases)
        BOOST_TEST(split(c.pattern, c.text) == c.pieces, boost::test_tools::per_element());
    BOOST_TEST(split(literal_pattern(".*\\E[é"), "x.*\\E[é.") == (Pieces{"x", ".*\\E[é", "."}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_has_no_form_here_is_refused_by_name) {
    for (const char* pattern :
         {R"((a)\1)", R"(\k<n>)", R"(\h)", R"(\R)", R"(\X)", R"(\K)", R"(\G)", R"(\C)", R"([a&&b])",
          R"([a[^b]])", R"([a\S])", R"(\)", R"(\u12)", "(", "[a", "a{3,1}", "(?<n"}) {
        const PreTokenizerStep steps[] = {{pattern}};
        const auto made = PreTokenizer::create(std::span(steps));
        BOOST_TEST_REQUIRE(made.has_error(), pattern);
        BOOST_TEST((made.error().code == ErrorCode::unsupported));
        BOOST_TEST(made.error().message.find(pattern) != std::string::npos, made.error().message);
    }
    BOOST_TEST(to_pcre2(std::string(20'000, 'a')).has_error());
}

BOOST_AUTO_TEST_CASE(cuts_go_where_they_are_asked_for) {
    BOOST_TEST(split("-", "-a-b--c") == (Pieces{"-", "a", "-", "b", "-", "-", "c"}),
               boost::test_tools::per_element());
    BOOST_TEST(split("-", "-a-b--c", Cut::with_previous) == (Pieces{"-", "a-", "b-", "-", "c"}),
               boost::test_tools::per_element());
    BOOST_TEST(split("-", "-a-b--c", Cut::with_next) == (Pieces{"-a", "-b", "-", "-c"}),
               boost::test_tools::per_element());
    BOOST_TEST(split(R"(\d+)", "x1234567 12 123", Cut::threes_from_right) ==
                   (Pieces{"x", "1", "234", "567", " ", "12", " ", "123"}),
               boost::test_tools::per_element());
    BOOST_TEST(split(R"(\p{N}+)", "٣٤٥٦", Cut::threes_from_right) == (Pieces{"٣", "٤٥٦"}),
               boost::test_tools::per_element());
    BOOST_TEST(split("(?=b)", "abbä", Cut::isolate) == (Pieces{"a", "b", "bä"}),
               boost::test_tools::per_element());  // an empty match cuts
    BOOST_TEST(split("x*", "äxö") == (Pieces{"ä", "x", "ö"}), boost::test_tools::per_element());
}

/// Expressions of strangers run for a bounded time; what is left when it is over is one piece.
BOOST_AUTO_TEST_CASE(an_expression_that_explodes_gives_up) {
    const std::string text = std::string(2000, 'a') + "b";
    std::string joined;
    for (const auto& piece : split("(a+)+c", text)) joined += piece;
    BOOST_TEST(joined == text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
