// Filters that give text.
#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include "daemon/template/filters.hpp"
#include "daemon/template/methods_string.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

template <std::string (*map)(std::string_view)>
Result<Value> mapped(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "filter", {}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    KVASIR_TRY_VOID(runtime.work(text.size() * 4));
    return runtime.make_string(map(text));
}

std::string same(std::string_view text) {
    return std::string(text);
}

/// Not str.title(): words begin after spaces, dashes and opening brackets only.
std::string title_words(std::string_view text) {
    std::string out;
    bool at_start = true;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const char32_t point = point_at(text, at);
        const std::string_view one = text.substr(at, point_bytes(text, at));
        const bool separates = is_space(point) || point == '-' || point == '(' || point == '{' ||
                               point == '[' || point == '<';
        out += at_start ? to_upper(one) : to_lower(one);
        at_start = separates;
    }
    return out;
}

std::string escape_html(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '\'': out += "&#39;"; break;
            case '"': out += "&#34;"; break;
            default: out += c;
        }
    }
    return out;
}

Result<Value> trimmed(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "trim", {"chars"}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    if (!bound[0] || bound[0]->is_none())
        return runtime.make_string(std::string(strip(text, true, true)));
    KVASIR_TRY(const std::string_view chars, to_string_view(*bound[0], "trim"));
    KVASIR_TRY_VOID(runtime.step(text.size() * (1 + chars.size() / 16)));
    return runtime.make_string(std::string(strip(text, chars, true, true)));
}

Result<Value> replaced(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "replace", {"old", "new", "count"}, 2));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    KVASIR_TRY(const std::string old, runtime.to_text(*bound[0]));
    KVASIR_TRY(const std::string with, runtime.to_text(*bound[1]));
    std::int64_t n_times = -1;
    if (bound[2] && !bound[2]->is_none()) {
        KVASIR_TRY(n_times, to_integer(*bound[2], "replace"));
    }
    return replace_text(runtime, text, old, with, n_times);
}

Result<Value> indented(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "indent", {"width", "first", "blank"}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    std::string indent(4, ' ');
    if (bound[0] && bound[0]->is_string()) {
        indent = bound[0]->text();
    } else if (bound[0]) {
        KVASIR_TRY(const std::int64_t width, to_integer(*bound[0], "indent"));
        const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0));
        KVASIR_TRY_VOID(runtime.check_string(n));
        indent.assign(n, ' ');
    }
    Arguments no_arguments;
    KVASIR_TRY(const Value whole, runtime.make_string(text + "\n"));
    KVASIR_TRY(const Value lines, call_method(runtime, whole, "splitlines", no_arguments));
    std::string out = flag(bound[1]) ? indent : "";
    bool first = true;
    for (const Value& line : lines.items()) {
        KVASIR_TRY_VOID(runtime.check_string(out.size() + indent.size() + line.text().size() + 1));
        KVASIR_TRY_VOID(runtime.work(indent.size()));
        if (!first) out += '\n';
        if (!first && (!line.text().empty() || flag(bound[2]))) out += indent;
        out += line.text();
        first = false;
    }
    return runtime.make_string(std::move(out));
}

Result<Value> truncated(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound,
               bind(arguments, "truncate", {"length", "killwords", "end", "leeway"}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    std::int64_t length = 255, leeway = 5;
    if (bound[0]) {
        KVASIR_TRY(length, to_integer(*bound[0], "truncate"));
    }
    if (bound[3] && !bound[3]->is_none()) {
        KVASIR_TRY(leeway, to_integer(*bound[3], "truncate"));
    }
    std::string end = "...";
    if (bound[2]) {
        KVASIR_TRY(end, runtime.to_text(*bound[2]));
    }
    const auto size = static_cast<std::int64_t>(count_points(text));
    const auto end_size = static_cast<std::int64_t>(count_points(end));
    if (length < end_size || leeway < 0) return type_error("truncate: length or leeway too small");
    if (size <= leeway || size - leeway <= length) return runtime.make_string(text);
    const std::string head =
        text.substr(0, point_offset(text, static_cast<std::uint64_t>(length - end_size)));
    const std::size_t space = flag(bound[1]) ? std::string::npos : head.rfind(' ');
    return runtime.make_string(head.substr(0, space) + end);
}

Result<Value> centered(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "center", {"width"}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    std::int64_t width = 80;
    if (bound[0]) {
        KVASIR_TRY(width, to_integer(*bound[0], "center"));
    }
    return pad_text(runtime, text, width, " ", Align::center);
}

Result<Value> formatted(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const std::string pattern, runtime.to_text(value));
    if (!arguments.named.empty() && !arguments.positional.empty())
        return type_error("can't handle positional and keyword arguments at the same time");
    Value values;
    if (arguments.named.empty()) {
        KVASIR_TRY(values, runtime.make_list(std::move(arguments.positional), SequenceType::tuple));
    } else {
        Pairs pairs;
        for (auto& [name, given] : arguments.named) {
            KVASIR_TRY(Value key, runtime.make_string(name));
            pairs.emplace_back(std::move(key), std::move(given));
        }
        KVASIR_TRY(values, runtime.make_dict(std::move(pairs)));
    }
    return percent_format(runtime, pattern, values);
}

Result<Value> word_count(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "wordcount", {}));
    KVASIR_TRY(const std::string text, runtime.to_text(value));
    std::int64_t n_words = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const char32_t point = point_at(text, at);
        const bool is_word = is_alpha(point) || is_digit(point) || point == '_';
        n_words += is_word && !inside;
        inside = is_word;
    }
    return Value(n_words);
}

Result<Value> url_encoded(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "urlencode", {}));
    const auto encode = [](std::string_view text, std::string_view safe) {
        std::string out;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            const bool plain = (byte < 0x80 && std::isalnum(byte) != 0) ||
                               std::string_view("_.-~").find(c) != std::string_view::npos ||
                               safe.find(c) != std::string_view::npos;
            out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
        }
        return out;
    };
    if (value.is_string() || !is_iterable(value)) {
        KVASIR_TRY(const std::string text, runtime.to_text(value));
        KVASIR_TRY_VOID(runtime.check_string(text.size() * 3));
        return runtime.make_string(encode(text, "/"));
    }
    Pairs pairs;
    if (value.is_dict()) {
        pairs = value.dict().pairs;
    } else {
        KVASIR_TRY(const Items items, runtime.iterate(value));
        for (const Value& item : items) {
            KVASIR_TRY(const Items pair, runtime.iterate(item));
            if (pair.size() != 2) return type_error("urlencode: expected pairs");
            pairs.emplace_back(pair[0], pair[1]);
        }
    }
    std::string out;
    for (const auto& [key, item] : pairs) {
        KVASIR_TRY(const std::string name, runtime.to_text(key));
        KVASIR_TRY(const std::string text, runtime.to_text(item));
        KVASIR_TRY_VOID(runtime.check_string(out.size() + 3 * (name.size() + text.size())));
        if (!out.empty()) out += '&';
        out += encode(name, "") + "=" + encode(text, "");
    }
    return runtime.make_string(std::move(out));
}

Result<Value> json_of(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound,
               bind(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}));
    JsonLayout layout;
    layout.ascii = flag(bound[0]);
    layout.sorted = flag(bound[3]);
    if (bound[1] && bound[1]->is_string()) {
        layout.indent = bound[1]->text();
    } else if (bound[1] && !bound[1]->is_none()) {
        KVASIR_TRY(const std::int64_t width, to_integer(*bound[1], "indent"));
        if (width > 100) return type_error("tojson: indent of more than 100");
        layout.indent =
            std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
    if (layout.indent) layout.item_separator = ",";
    if (bound[2] && !bound[2]->is_none()) {
        KVASIR_TRY(const Items pair, runtime.iterate(*bound[2]));
        if (pair.size() != 2) return type_error("tojson: expected two separators");
        KVASIR_TRY(layout.item_separator, to_string_view(pair[0], "separators"));
        KVASIR_TRY(layout.key_separator, to_string_view(pair[1], "separators"));
    }
    KVASIR_TRY(std::string text, to_json(runtime, value, layout));
    return runtime.make_string(std::move(text));
}

/// Not Jinja2's: templates of DeepSeek use it where arguments come as text.
Result<Value> from_json(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "from_json", {}));
    KVASIR_TRY(const std::string_view text, to_string_view(value, "from_json"));
    KVASIR_TRY_VOID(runtime.work(text.size() * 8));
    KVASIR_TRY_VOID(runtime.check_string(text.size() * 16));
    boost::system::error_code failed;
    boost::json::parse_options options;
    options.max_depth = kMaxValueDepth;
    const boost::json::value json = boost::json::parse(text, failed, {}, options);
    if (failed) return type_error(fmt::format("from_json: {}", failed.message()));
    return runtime.make_json(json);
}

}  // namespace

const FilterTable& text_filters() {
    static const FilterTable table = {
        {"upper", mapped<to_upper>},
        {"lower", mapped<to_lower>},
        {"capitalize", mapped<capitalize>},
        {"title", mapped<title_words>},
        {"string", mapped<same>},
        {"safe", mapped<same>},
        {"e", mapped<escape_html>},
        {"escape", mapped<escape_html>},
        {"forceescape", mapped<escape_html>},
        {"trim", trimmed},
        {"replace", replaced},
        {"indent", indented},
        {"truncate", truncated},
        {"center", centered},
        {"format", formatted},
        {"wordcount", word_count},
        {"urlencode", url_encoded},
        {"tojson", json_of},
        {"from_json", from_json},
    };
    return table;
}

}  // namespace kvasir::jinja
