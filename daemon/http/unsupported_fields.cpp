#include "daemon/http/unsupported_fields.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <string_view>

namespace kvasir {

namespace json = boost::json;

namespace {

// Which values ask for nothing, so that clients that send their defaults are served.
enum class Harmless {
    nothing,    // null alone
    falsy,      // false, 0, "", []
    one,        // 1: off, for a truncation
    text_only,  // ["text"]
    no_tool,    // "none", "auto"
};

struct Field {
    std::string_view name;
    Harmless harmless;
};

constexpr std::array kFields{
    // OpenAI
    Field{"suffix", Harmless::falsy},
    Field{"tools", Harmless::falsy},
    Field{"tool_choice", Harmless::no_tool},
    Field{"functions", Harmless::falsy},
    Field{"function_call", Harmless::no_tool},
    Field{"modalities", Harmless::text_only},
    Field{"audio", Harmless::nothing},
    Field{"web_search_options", Harmless::nothing},
    // other servers
    Field{"guided_json", Harmless::nothing},
    Field{"guided_regex", Harmless::falsy},
    Field{"guided_choice", Harmless::falsy},
    Field{"guided_grammar", Harmless::falsy},
    Field{"structured_outputs", Harmless::nothing},
    Field{"min_tokens", Harmless::falsy},
    Field{"stop_token_ids", Harmless::falsy},
    Field{"bad_words", Harmless::falsy},
    Field{"use_beam_search", Harmless::falsy},
    Field{"prompt_logprobs", Harmless::nothing},
    Field{"mirostat", Harmless::falsy},
    Field{"typical_p", Harmless::one},
    Field{"tfs_z", Harmless::one},
    Field{"dry_multiplier", Harmless::falsy},
    Field{"xtc_probability", Harmless::falsy},
    Field{"lora", Harmless::falsy},
};

std::string_view text_of(const json::value& value) {
    if (!value.is_string()) return {};
    return {value.get_string().data(), value.get_string().size()};
}

bool is_number(const json::value& value, double wanted) {
    if (value.is_int64()) return static_cast<double>(value.get_int64()) == wanted;
    return value.is_double() && value.get_double() == wanted;
}

bool is_falsy(const json::value& value) {
    if (value.is_bool()) return !value.get_bool();
    if (value.is_string()) return value.get_string().empty();
    if (value.is_array()) return value.get_array().empty();
    return is_number(value, 0);
}

bool is_harmless(const json::value& value, Harmless harmless) {
    if (value.is_null()) return true;
    switch (harmless) {
        case Harmless::nothing: return false;
        case Harmless::falsy: return is_falsy(value);
        case Harmless::one: return is_number(value, 1);
        case Harmless::text_only:
            return value.is_array() && value.get_array().size() == 1 &&
                   text_of(value.get_array()[0]) == "text";
        case Harmless::no_tool: return text_of(value) == "none" || text_of(value) == "auto";
    }
    return false;
}

}  // namespace

std::optional<ApiError> find_unsupported_field(const json::object& body) {
    for (const Field& field : kFields) {
        const json::value* value = body.if_contains({field.name.data(), field.name.size()});
        if (value == nullptr || is_harmless(*value, field.harmless)) continue;
        return ApiError{ErrorKind::unsupported_parameter,
                        fmt::format("{}: not supported by this server", field.name),
                        std::string(field.name)};
    }
    return std::nullopt;
}

}  // namespace kvasir
