// schema_walks N SEED < schemas.jsonl: N random texts for each schema, one a line as JSON:
// {"schema": line number, "text": ..., "complete": ...}, or {"schema": ..., "refused": ...}.
#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>

#include "daemon/grammar/json_schema.hpp"
#include "tests/grammar/grammar_walk.hpp"

using namespace kvasir;

int main(int argc, char** argv) {
    const int n_walks = argc > 1 ? std::atoi(argv[1]) : 1;
    std::mt19937 random(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1U);
    const auto vocabulary = grammar::make_vocabulary({"{\"",
                                                      "\":",
                                                      "\": ",
                                                      "\",",
                                                      "\", ",
                                                      "},",
                                                      "}}",
                                                      "]}",
                                                      "[]",
                                                      "{}",
                                                      " {",
                                                      "\"}",
                                                      "true",
                                                      "false",
                                                      "null",
                                                      "the",
                                                      " and",
                                                      "ab",
                                                      "12",
                                                      "2024",
                                                      "-0",
                                                      "0.",
                                                      ".5",
                                                      "\xC3\xA9",
                                                      "\xF0\x9F\xA6",
                                                      "\xF0\x9F\xA6\x8A",
                                                      "\xE2\x82",
                                                      "\\u00",
                                                      "\\n",
                                                      "://",
                                                      "www.",
                                                      ".com",
                                                      "@",
                                                      "\n  ",
                                                      "-01"});
    std::string line;
    for (int index = 0; std::getline(std::cin, line); ++index) {
        boost::json::object answer{{"schema", index}};
        const auto compiled = grammar::compile_schema(boost::json::parse(line));
        if (compiled.has_error()) {
            answer["refused"] = compiled.error().path + ": " + compiled.error().message;
            std::cout << boost::json::serialize(answer) << "\n";
            continue;
        }
        const auto constraint =
            std::make_shared<const grammar::Constraint>(grammar::Constraint{*compiled, vocabulary});
        for (int walk = 0; walk < n_walks; ++walk) {
            const grammar::Walk done = grammar::random_walk(constraint, random, 3000);
            answer["text"] = done.text;
            answer["complete"] = done.is_complete;
            if (!done.error.empty()) answer["error"] = done.error;
            std::cout << boost::json::serialize(answer) << "\n";
        }
    }
    return 0;
}
