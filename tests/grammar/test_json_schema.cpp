#include <boost/json/parse.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "daemon/grammar/json_schema.hpp"
#include "tests/grammar/grammar_walk.hpp"

using namespace kvasir;
using namespace kvasir::grammar;
namespace data = boost::unit_test::data;

namespace {

struct Example {
    std::string schema;
    std::vector<std::string> in;
    std::vector<std::string> out;
};
std::ostream& operator<<(std::ostream& stream, const Example& example) {
    return stream << example.schema;
}

const std::vector<Example> kExamples{
    {R"({"type":"integer"})", {"0", "-12"}, {"1.0", "-0", "01", "\"1\"", "1e3"}},
    {R"({"type":["null","boolean"]})", {"null", "true"}, {"0", "nul"}},
    {R"({"type":"number","minimum":-1.5,"exclusiveMaximum":10})",
     {"-1.5", "9.99", "0", "-1.49"},
     {"-1.51", "10", "10.0"}},
    {R"({"type":"integer","multipleOf":7,"minimum":10})", {"14", "700"}, {"7", "15", "-14"}},
    {R"({"type":"number","multipleOf":0.5})", {"1.5", "-2", "0.0"}, {"1.25", "0.3"}},
    {R"({"type":"integer","format":"int32"})", {"2147483647", "-2147483648"}, {"2147483648"}},
    {R"({"enum":["a\"b",1,null,{"k":[1.5]},"é"]})",
     {R"("a\"b")", "1", R"({"k":[1.5]})", "\"é\""},
     {"2", "\"a\""}},
    {R"({"const":{"a":"x"}})", {R"({"a":"x"})"}, {"{}"}},
    {R"({"enum":["a","bb","ccc"],"minLength":2,"maxLength":2})", {"\"bb\""}, {"\"a\"", "\"ccc\""}},
    {R"({"type":"string","minLength":2,"maxLength":3})",
     {"\"é🦊\"", "\"abc\"", R"("\n\ud83e\udd8a")"},
     {"\"a\"", "\"abcd\"", R"("\ud83e")"}},
    {R"({"type":"string","pattern":"^a+$","maxLength":3})", {"\"aaa\""}, {"\"aaaa\"", "\"\""}},
    {R"({"type":"string","format":"date"})", {"\"2024-02-29\""}, {"\"2023-02-29\""}},
    {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":2})",
     {"[1]", "[1, 2]", "[\n  1\n]"},
     {"[]", "[1,2,3]", "[1,]"}},
    {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
    {R"({"type":"array","prefixItems":[{"type":"null"},{"type":"integer"}],"items":false})",
     {"[]", "[null]", "[null,1]"},
     {"[1]", "[null,1,2]"}},
    {R"({"type":"array","items":[{"type":"null"}],"additionalItems":{"type":"integer"},"minItems":2})",
     {"[null,1]", "[null,1,2]"},
     {"[null]", "[1,1]"}},
    {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"}},"required":["b"]})",
     {R"({"b":null})", R"({"a":1, "b": null})"},
     {"{}", R"({"a":1})", R"({"b":null,"c":1})", R"({"b":null,})"}},
    {R"({"type":"object"})", {"{}", R"({"x":[{}]})"}, {"[]"}},
    {R"({"type":"object","additionalProperties":{"type":"integer"},"properties":{"a":{"type":"null"}}})",
     {"{}", R"({"a":null,"b":1,"c":2})", R"({"b":1})"},
     {R"({"b":null})", R"({"b":1,"a":1})", R"({"a":1})"}},
    {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
    {R"({"type":"object","patternProperties":{"^x":{"type":"integer"},"y$":{"type":"null"}},"additionalProperties":false})",
     {R"({"x1":1})", R"({"ay":null})"},
     {R"({"x1":null})", R"({"z":1})"}},
    {R"({"type":"object","properties":{"a":true,"b":true,"c":true},"minProperties":2,"maxProperties":2})",
     {R"({"a":1,"b":2})", R"({"b":1,"c":2})"},
     {R"({"a":1})", R"({"a":1,"b":2,"c":3})"}},
    {R"({"type":"object","required":["z"]})", {R"({"z":[1]})"}, {"{}"}},
    {R"({"type":"object","properties":{"a":false,"b":{"type":"null"}}})",
     {"{}", R"({"b":null})"},
     {R"({"a":1})"}},
    {R"({"anyOf":[{"type":"integer","minimum":5},{"type":"string","maxLength":1}]})",
     {"7", "\"a\""},
     {"4", "\"ab\""}},
    {R"({"allOf":[{"type":"integer"},{"minimum":3},{"maximum":5}]})",
     {"3", "5"},
     {"2", "6", "3.5"}},
    {R"({"type":"object","allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"a":{"maximum":9},"b":{"type":"null"}}}]})",
     {R"({"a":9,"b":null})", R"({"a":1})"},
     {R"({"a":10})", "{}"}},
    {R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},{"type":"object","properties":{"k":{"const":"b"},"n":{"type":"null"}},"required":["k"]}]})",
     {R"({"k":"a"})", R"({"k":"b","n":null})"},
     {R"({"k":"c"})", R"({"k":"a","n":null})"}},
    {R"({"oneOf":[{"type":"string","pattern":"^a"},{"type":"string","pattern":"^b"}]})",
     {"\"ax\"", "\"b\""},
     {"\"c\""}},
    {R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"l":{"$ref":"#/$defs/t"}},"required":["v"]}}})",
     {R"({"v":1})", R"({"v":1,"l":{"v":2,"l":{"v":3}}})"},
     {"{}", R"({"v":1,"l":{}})"}},
    {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
    {R"({"definitions":{"a/b":{"type":"null"}},"$ref":"#/definitions/a~1b"})", {"null"}, {"1"}},
    {R"({"title":"t","description":"d","default":1,"examples":[1],"x-order":3,"$schema":"s","type":"null"})",
     {"null"},
     {"1"}},
    {"true", {"1", "{}", "\"a\"", "[null]"}, {""}},
    {R"({"type":"object","properties":{"é\"":{"type":"null"}}})",
     {R"({"é\"":null})"},
     {R"({"é":null})"}},
};

struct Refused {
    std::string schema;
    std::string path;
};
std::ostream& operator<<(std::ostream& stream, const Refused& refused) {
    return stream << refused.schema.substr(0, 80);
}

const std::vector<Refused> kRefused{
    {R"({"not":{}})", "not"},
    {R"({"if":{}})", "if"},
    {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
    {R"({"type":"array","contains":{}})", "contains"},
    {R"({"dependentRequired":{}})", "dependentRequired"},
    {R"({"unevaluatedProperties":false})", "unevaluatedProperties"},
    {R"({"propertyNames":{}})", "propertyNames"},
    {R"({"nullable":true})", "nullable"},
    {R"({"colour":"red"})", "colour"},
    {R"({"properties":{"a":{"items":{"anyOf":[{},{"not":{}}]}}}})",
     "properties.a.items.anyOf[1].not"},
    {R"({"$defs":{"d":{"not":{}}},"properties":{"a":{"$ref":"#/$defs/d"}}})", "$defs.d.not"},
    {R"({"type":"text"})", "type"},
    {R"({"type":[]})", "type"},
    {R"({"enum":1})", "enum"},
    {R"({"properties":[]})", "properties"},
    {R"({"properties":{"a":1}})", "properties"},
    {R"({"required":[1]})", "required"},
    {R"({"minLength":-1})", "minLength"},
    {R"({"minLength":1.5})", "minLength"},
    {R"({"multipleOf":0})", "multipleOf"},
    {R"({"type":"number","multipleOf":0.1})", "multipleOf"},
    {R"({"type":"number","exclusiveMinimum":true})", "exclusiveMinimum"},
    {R"({"type":"number","minimum":1e20})", "minimum"},
    {R"({"type":"string","format":"colour"})", "format"},
    {R"({"type":"string","pattern":"("})", "pattern"},
    {R"({"anyOf":[]})", "anyOf"},
    {R"({"oneOf":[{"type":"integer"},{"minimum":1}]})", "oneOf"},
    {R"({"$ref":"other.json"})", "$ref"},
    {R"({"$ref":"#/nowhere"})", "$ref"},
    {R"({"$ref":"#"})", ""},
    {R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"})",
     "$defs.a"},
    {R"({"type":"object","minProperties":5})", "minProperties"},
    // impossible
    {"false", ""},
    {R"({"type":"string","const":1})", ""},
    {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", ""},
    {R"({"type":"string","minLength":3,"maxLength":2})", ""},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(json_schema)

BOOST_DATA_TEST_CASE(values_in_and_out, data::make(kExamples), example) {
    const auto compiled = compile_schema(boost::json::parse(example.schema));
    BOOST_REQUIRE_MESSAGE(!compiled.has_error(),
                          compiled.error().path + ": " + compiled.error().message);
    for (const std::string& text : example.in)
        BOOST_TEST(matches(*compiled, text), text << " is in");
    for (const std::string& text : example.out)
        BOOST_TEST(!matches(*compiled, text), text << " is out");
}

BOOST_DATA_TEST_CASE(what_cannot_be_kept_is_refused_by_name, data::make(kRefused), refused) {
    const auto compiled = compile_schema(boost::json::parse(refused.schema));
    BOOST_REQUIRE(compiled.has_error());
    BOOST_TEST(compiled.error().path == refused.path,
               compiled.error().path + ": " + compiled.error().message);
    BOOST_TEST(!compiled.error().message.empty());
}

BOOST_AUTO_TEST_CASE(combinations_are_bounded) {
    std::string any = R"({"anyOf":[{"minimum":1},{"minimum":2},{"minimum":3},{"minimum":4}]})";
    std::string all;
    for (int i = 0; i < 30; ++i) all += (all.empty() ? "" : ",") + any;
    BOOST_TEST(compile_schema(boost::json::parse(R"({"allOf":[)" + all + "]}")).has_error());
    // A reference to a reference, twice each time.
    std::string defs = R"("d0":{"type":"null"})";
    for (int i = 1; i < 40; ++i) {
        const std::string before = R"({"$ref":"#/$defs/d)" + std::to_string(i - 1) + "\"}";
        defs += ",\"d" + std::to_string(i) + R"(":{"allOf":[)" + before + "," + before + "]}";
    }
    BOOST_TEST(
        compile_schema(boost::json::parse(R"({"$ref":"#/$defs/d39","$defs":{)" + defs + "}}"))
            .has_error());
}

BOOST_AUTO_TEST_CASE(many_properties_and_values_are_no_problem) {
    std::string properties;
    std::string values;
    for (int i = 0; i < 500; ++i) {
        properties += (i > 0 ? "," : "") + ("\"p" + std::to_string(i)) + R"(":{"type":"integer"})";
        values += (i > 0 ? "," : "") + ("\"value" + std::to_string(i)) + "\"";
    }
    const auto object =
        compile_schema(boost::json::parse(R"({"type":"object","properties":{)" + properties + "}}"))
            .value();
    BOOST_TEST(matches(object, R"({"p3":1,"p77":2,"p499":3})"));
    BOOST_TEST(!matches(object, R"({"p77":1,"p3":2})"));
    const auto list = compile_schema(boost::json::parse(R"({"enum":[)" + values + "]}")).value();
    BOOST_TEST(matches(list, "\"value321\""));
    BOOST_TEST(!matches(list, "\"value500\""));
}

BOOST_AUTO_TEST_SUITE_END()
