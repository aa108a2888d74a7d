// kvasir-eval tokenize: texts to token ids with a model's vocabulary; needs no device.
#include <boost/json.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/kvasir_eval/session.hpp"
#include "daemon/model/open_model.hpp"

namespace kvasir::eval {

Result<> run_tokenize(const Arguments& arguments) {
    options::options_description known("options");
    known.add_options()("model", options::value<std::string>()->required(),
                        "model file or directory; weights are not needed")(
        "texts", options::value<std::string>()->required(), "JSON array of strings")(
        "special", options::bool_switch(), "parse special tokens in the texts");
    KVASIR_TRY(const auto given, parse(known, arguments));
    const auto path = given["texts"].as<std::string>();
    KVASIR_TRY(const std::string json, read_text_file(path));
    boost::system::error_code failed;
    const boost::json::value texts = boost::json::parse(json, failed);
    if (failed || !texts.is_array())
        return Error{ErrorCode::corrupt, fmt::format("{}: expected a JSON array of strings", path)};
    KVASIR_TRY(const auto tokenizer, open_tokenizer(given["model"].as<std::string>()));
    const auto special =
        given["special"].as<bool>() ? Tokenizer::Special::parse : Tokenizer::Special::ignore;
    std::string out = "[";
    for (const boost::json::value& text : texts.as_array()) {
        if (!text.is_string())
            return Error{ErrorCode::corrupt, fmt::format("{}: expected strings only", path)};
        const auto ids = tokenizer->encode(std::string_view(text.as_string()), special);
        out += fmt::format("{}[{}]", out.size() == 1 ? "" : ",\n", fmt::join(ids, ", "));
    }
    fmt::print("{}]\n", out);
    return {};
}

}  // namespace kvasir::eval
