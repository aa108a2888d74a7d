#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <random>

#include "daemon/http/json_writer.hpp"

using namespace kvasir;

BOOST_AUTO_TEST_SUITE(json_writer)

BOOST_AUTO_TEST_CASE(commas_stand_between_elements_only) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("a").begin_array().end_array();
    json.key("b")
        .begin_array()
        .number(std::uint64_t{1})
        .number(0.5)
        .null()
        .boolean(true)
        .end_array();
    json.key("c").begin_object().end_object().field("d", "x").end_object();
    BOOST_TEST(out == R"({"a":[],"b":[1,0.5,null,true],"c":{},"d":"x"})");
}

BOOST_AUTO_TEST_CASE(what_json_cannot_say_is_null) {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    json.number(std::numeric_limits<double>::quiet_NaN());
    json.number(std::numeric_limits<double>::infinity());
    json.number(-std::numeric_limits<float>::infinity());
    json.number(0.1F).number(1e300).end_array();
    BOOST_TEST(out == "[null,null,null,0.1,1e+300]");
}

BOOST_AUTO_TEST_CASE(any_bytes_become_valid_json_in_valid_utf8) {
    std::mt19937 random(1);
    for (int round = 0; round < 2'000; ++round) {
        std::string bytes(random() % 12, '\0');
        for (char& byte : bytes) {
            // Many leads and continuations, so that near-characters are common.
            const unsigned kind = random() % 4;
            byte = static_cast<char>(kind == 0   ? random() % 128
                                     : kind == 1 ? 0x80 + random() % 64
                                                 : 0xC0 + random() % 64);
        }
        std::string out;
        append_json_string(out, bytes);
        boost::system::error_code ec;
        const boost::json::value value = boost::json::parse(out, ec);  // refuses invalid UTF-8
        BOOST_REQUIRE(!ec);
        BOOST_TEST(std::string_view(value.get_string()) == to_valid_utf8(bytes));
    }
}

BOOST_AUTO_TEST_CASE(valid_text_passes_unchanged) {
    std::string every;
    for (unsigned byte = 0; byte < 128; ++byte) every += static_cast<char>(byte);
    every += "\u00e9\u20ac\U0001F98A\uFFFD\U0010FFFF";
    BOOST_TEST(to_valid_utf8(every) == every);
    std::string out;
    append_json_string(out, every);
    BOOST_TEST(std::string_view(boost::json::parse(out).get_string()) == every);
}

BOOST_AUTO_TEST_CASE(surrogates_overlong_forms_and_what_lies_beyond_are_not_characters) {
    for (const char* bad :
         {"\xED\xA0\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xE2\x82", "\xFF"})
        BOOST_TEST(utf8_character_length(bad) == 0U);
    BOOST_TEST(utf8_character_length("\xED\x9F\xBF") == 3U);
    BOOST_TEST(utf8_character_length("\xF4\x8F\xBF\xBF") == 4U);
}

BOOST_AUTO_TEST_CASE(json_from_elsewhere_stands_where_a_value_does) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("a").valid_json(R"({"b":[1]})").field("c", "d");
    json.key("e").begin_array().valid_json("1").null().end_array().end_object();
    BOOST_TEST(out == R"({"a":{"b":[1]},"c":"d","e":[1,null]})");
}

BOOST_AUTO_TEST_SUITE_END()
