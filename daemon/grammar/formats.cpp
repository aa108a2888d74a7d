// String formats, as patterns. Source: the RFCs that JSON Schema names, and what the validator ajv
// checks for them.
#include <array>
#include <map>
#include <string>

#include "daemon/grammar/pattern.hpp"

namespace kvasir::grammar {

namespace {

/// `{name}` stands for the pattern of that name above it.
struct Part {
    std::string_view name;
    std::string_view pattern;
    bool is_format = true;
};

constexpr std::array kParts{
    Part{"leap-year",
         "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)", false},
    Part{"date",
         "(?:[1-9][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|"
         "(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|{leap-year}-02-29)"},
    Part{"clock", "(?:[01][0-9]|2[0-3]):[0-5][0-9]", false},
    Part{"time", "{clock}:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-]{clock})"},
    Part{"date-time", "{date}T{time}"},
    Part{"n", "(?:0|[1-9][0-9]{0,4})", false},
    Part{"clock-part", "T(?:{n}H(?:{n}M(?:{n}S)?)?|{n}M(?:{n}S)?|{n}S)", false},
    Part{"duration",
         "P(?:{n}W|(?:{n}Y(?:{n}M(?:{n}D)?)?|{n}M(?:{n}D)?|{n}D)(?:{clock-part})?|{clock-part})"},
    Part{"uuid", "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
    Part{"label", "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", false},
    Part{"hostname", "{label}(?:\\.{label}){0,2}"},
    Part{"atom", "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+", false},
    Part{"email", "{atom}(?:\\.{atom})*@{label}(?:\\.{label}){1,2}"},
    Part{"octet", "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])", false},
    Part{"ipv4", "{octet}(?:\\.{octet}){3}"},
    Part{"h", "[0-9a-fA-F]{1,4}", false},
    Part{"ipv6",
         "(?:{h}(?::{h}){7}|::(?:{h}(?::{h}){0,5})?|{h}::(?:{h}(?::{h}){0,4})?|"
         "{h}:{h}::(?:{h}(?::{h}){0,3})?|{h}(?::{h}){2}::(?:{h}(?::{h}){0,2})?|"
         "{h}(?::{h}){3}::(?:{h}(?::{h})?)?|{h}(?::{h}){4}::(?:{h})?)"},
    Part{"pchar", "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})", false},
    Part{"uri",
         "[a-zA-Z][a-zA-Z0-9+.-]*://{hostname}(?::[0-9]{1,4})?(?:/{pchar}*)*"
         "(?:\\?(?:{pchar}|[/?])*)?(?:#(?:{pchar}|[/?])*)?"},
    Part{"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
    Part{"byte", "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"},
};

std::map<std::string, Dfa, std::less<>> make_formats() {
    std::map<std::string, std::string, std::less<>> patterns;
    std::map<std::string, Dfa, std::less<>> formats;
    for (const Part& part : kParts) {
        std::string pattern(part.pattern);
        for (const auto& [name, other] : patterns) {
            const std::string mark = "{" + name + "}";
            for (std::size_t at = 0; (at = pattern.find(mark, at)) != std::string::npos;
                 at += other.size())
                pattern.replace(at, mark.size(), other);
        }
        patterns.emplace(part.name, pattern);
        Budget budget;
        if (part.is_format)
            formats.emplace(part.name, parse_pattern("^" + pattern + "$", budget).value());
    }
    return formats;
}

}  // namespace

const Dfa* find_format(std::string_view name) {
    static const std::map<std::string, Dfa, std::less<>> formats = make_formats();
    const auto found = formats.find(name);
    return found == formats.end() ? nullptr : &found->second;
}

}  // namespace kvasir::grammar
