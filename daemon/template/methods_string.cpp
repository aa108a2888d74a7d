#include "daemon/template/methods_string.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

#include "daemon/template/methods_split.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view old,
                           std::string_view with, std::int64_t n_times) {
    KVASIR_TRY_VOID(runtime.work(text.size()));
    std::string out;
    std::size_t at = 0;
    for (; n_times != 0; --n_times) {
        std::size_t found = text.find(old, at);
        if (found == std::string_view::npos || (old.empty() && at > text.size())) break;
        if (old.empty()) {  // between all code points, and around them
            KVASIR_TRY_VOID(runtime.check_string(out.size() + with.size()));
            KVASIR_TRY_VOID(runtime.work(with.size()));
            out += with;
            if (at == text.size()) return runtime.make_string(std::move(out));
            const std::size_t n = point_bytes(text, at);
            out += text.substr(at, n);
            at += n;
            continue;
        }
        KVASIR_TRY_VOID(runtime.check_string(out.size() + (found - at) + with.size()));
        KVASIR_TRY_VOID(runtime.work(with.size()));
        out += text.substr(at, found - at);
        out += with;
        at = found + old.size();
    }
    KVASIR_TRY_VOID(runtime.check_string(out.size() + text.size() - at));
    out += text.substr(at);
    return runtime.make_string(std::move(out));
}

Result<Value> pad_text(Runtime& runtime, std::string_view text, std::int64_t width,
                       std::string_view fill, Align align) {
    if (count_points(fill) != 1)
        return type_error("the fill character must be exactly one character long");
    const auto size = static_cast<std::int64_t>(count_points(text));
    const std::int64_t missing = std::max<std::int64_t>(width - size, 0);
    std::int64_t left = 0;
    if (align == Align::right) left = missing;
    if (align == Align::center) left = missing / 2 + (missing & width & 1);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(static_cast<std::uint64_t>(missing), fill.size(), &bytes))
        bytes = UINT64_MAX / 2;
    KVASIR_TRY_VOID(runtime.check_string(bytes + text.size()));
    std::string out;
    for (std::int64_t i = 0; i < left; ++i) out += fill;
    out += text;
    for (std::int64_t i = left; i < missing; ++i) out += fill;
    return runtime.make_string(std::move(out));
}

namespace {

using Method = Result<Value> (*)(Runtime&, const std::string&, Arguments&);
using Text = std::string;

template <std::string (*map)(std::string_view)>
Result<Value> mapped(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto bound, bind(arguments, "method", {}));
    KVASIR_TRY_VOID(runtime.work(text.size() * 4));
    return runtime.make_string(map(text));
}

std::string swap_case(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const std::string_view one = text.substr(at, point_bytes(text, at));
        out += is_upper(point_at(text, at)) ? to_lower(one) : to_upper(one);
    }
    return out;
}

template <bool left, bool right>
Result<Value> stripped(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "strip", {"chars"}));
    KVASIR_TRY_VOID(runtime.work(text.size()));
    if (!bound[0] || bound[0]->is_none())
        return runtime.make_string(std::string(strip(text, left, right)));
    KVASIR_TRY(const std::string_view chars, to_string_view(*bound[0], "strip"));
    KVASIR_TRY_VOID(runtime.step(text.size() * (1 + chars.size() / 16)));
    return runtime.make_string(std::string(strip(text, chars, left, right)));
}

template <bool (*test)(char32_t)>
Result<Value> all_points(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto bound, bind(arguments, "method", {}));
    KVASIR_TRY_VOID(runtime.work(text.size() * 4));
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        if (!test(point_at(text, at))) return Value(false);
    }
    return Value(!text.empty());
}

bool is_alnum(char32_t point) {
    return is_alpha(point) || is_decimal(point) || is_digit(point);
}
bool is_ascii(char32_t point) {
    return point < 0x80;
}

/// isupper, islower: some letter is, and none is the other.
template <bool upper>
Result<Value> has_case(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto bound, bind(arguments, "method", {}));
    KVASIR_TRY_VOID(runtime.work(text.size() * 4));
    bool found = false;
    for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
        const char32_t point = point_at(text, at);
        if (upper ? is_lower(point) : is_upper(point)) return Value(false);
        found |= upper ? is_upper(point) : is_lower(point);
    }
    return Value(found);
}

/// Part of a text between optional indices, as startswith, find and count take them.
Result<std::string_view> part_of(std::string_view text, const std::optional<Value>& begin,
                                 const std::optional<Value>& end, std::int64_t& first) {
    const auto size = static_cast<std::int64_t>(count_points(text));
    std::int64_t bounds[2] = {0, size};
    for (const auto* given : {&begin, &end}) {
        if (!*given || (*given)->is_none()) continue;
        KVASIR_TRY(std::int64_t n, to_integer(**given, "index"));
        if (n < 0) n = n < -size ? 0 : n + size;
        bounds[given == &end] = std::min(n, size);
    }
    first = bounds[0];
    const std::size_t from = point_offset(text, static_cast<std::uint64_t>(bounds[0]));
    const std::size_t to =
        point_offset(text, static_cast<std::uint64_t>(std::max(bounds[0], bounds[1])));
    return text.substr(from, to - from);
}

template <bool at_start>
Result<Value> has_affix(Runtime& runtime, const Text& text, Arguments& arguments) {
    const char* name = at_start ? "startswith" : "endswith";
    KVASIR_TRY(const auto bound, bind(arguments, name, {"affix", "start", "end"}, 1));
    KVASIR_TRY_VOID(runtime.work(text.size()));
    std::int64_t first = 0;
    std::string_view part = text;
    if (bound[1] || bound[2]) {
        KVASIR_TRY(part, part_of(text, bound[1], bound[2], first));
    }
    const auto matches = [&](const Value& affix) -> Result<bool> {
        KVASIR_TRY(const std::string_view wanted, to_string_view(affix, name));
        KVASIR_TRY_VOID(runtime.work(wanted.size()));
        return at_start ? part.starts_with(wanted) : part.ends_with(wanted);
    };
    if (!bound[0]->is_sequence(SequenceType::tuple)) {
        KVASIR_TRY(const bool found, matches(*bound[0]));
        return Value(found);
    }
    for (const Value& affix : bound[0]->items()) {
        KVASIR_TRY(const bool found, matches(affix));
        if (found) return Value(true);
    }
    return Value(false);
}

template <bool from_right, bool must_exist>
Result<Value> found_at(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "find", {"sub", "start", "end"}, 1));
    KVASIR_TRY_VOID(runtime.work(text.size()));
    KVASIR_TRY(const std::string_view wanted, to_string_view(*bound[0], "find"));
    std::int64_t first = 0;
    KVASIR_TRY(const std::string_view part, part_of(text, bound[1], bound[2], first));
    const std::size_t at = from_right ? part.rfind(wanted) : part.find(wanted);
    if (at != std::string_view::npos)
        return Value(first + static_cast<std::int64_t>(count_points(part.substr(0, at))));
    if (must_exist) return type_error("substring not found");
    return Value(std::int64_t{-1});
}

Result<Value> counted(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "count", {"sub", "start", "end"}, 1));
    KVASIR_TRY_VOID(runtime.work(text.size()));
    KVASIR_TRY(const std::string_view wanted, to_string_view(*bound[0], "count"));
    std::int64_t first = 0;
    KVASIR_TRY(const std::string_view part, part_of(text, bound[1], bound[2], first));
    if (wanted.empty()) return Value(static_cast<std::int64_t>(count_points(part)) + 1);
    std::int64_t n = 0;
    for (std::size_t at = 0; (at = part.find(wanted, at)) != std::string_view::npos;
         at += wanted.size())
        ++n;
    return Value(n);
}

Result<Value> replaced(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "replace", {"old", "new", "count"}, 2));
    KVASIR_TRY(const std::string_view old, to_string_view(*bound[0], "replace"));
    KVASIR_TRY(const std::string_view with, to_string_view(*bound[1], "replace"));
    std::int64_t n_times = -1;
    if (bound[2]) {
        KVASIR_TRY(n_times, to_integer(*bound[2], "replace"));
    }
    return replace_text(runtime, text, old, with, n_times);
}

Result<Value> joined(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "join", {"iterable"}, 1));
    KVASIR_TRY(const Items items, runtime.iterate(*bound[0]));
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
        KVASIR_TRY(const std::string_view part, to_string_view(items[i], "join"));
        KVASIR_TRY_VOID(runtime.check_string(out.size() + text.size() + part.size()));
        KVASIR_TRY_VOID(runtime.work(text.size()));
        if (i > 0) out += text;
        out += part;
    }
    return runtime.make_string(std::move(out));
}

template <Align align>
Result<Value> padded(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "ljust", {"width", "fillchar"}, 1));
    KVASIR_TRY(const std::int64_t width, to_integer(*bound[0], "width"));
    std::string_view fill = " ";
    if (bound[1]) {
        KVASIR_TRY(fill, to_string_view(*bound[1], "fillchar"));
    }
    return pad_text(runtime, text, width, fill, align);
}

Result<Value> zero_filled(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "zfill", {"width"}, 1));
    KVASIR_TRY(const std::int64_t width, to_integer(*bound[0], "width"));
    const bool is_signed = !text.empty() && (text[0] == '-' || text[0] == '+');
    const std::string_view digits = std::string_view(text).substr(is_signed ? 1 : 0);
    if (width < 1) return runtime.make_string(text);
    KVASIR_TRY(const Value filled,
               pad_text(runtime, digits, width - (is_signed ? 1 : 0), "0", Align::right));
    return runtime.make_string(text.substr(0, is_signed ? 1 : 0) + filled.text());
}

template <bool prefix>
Result<Value> without_affix(Runtime& runtime, const Text& text, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "removeprefix", {"affix"}, 1));
    KVASIR_TRY(const std::string_view affix, to_string_view(*bound[0], "affix"));
    if (prefix && text.starts_with(affix)) return runtime.make_string(text.substr(affix.size()));
    if (!prefix && text.ends_with(affix))
        return runtime.make_string(text.substr(0, text.size() - affix.size()));
    return runtime.make_string(text);
}

Result<Value> formatted(Runtime& runtime, const Text& text, Arguments& arguments) {
    return brace_format(runtime, text, arguments);
}

const std::unordered_map<std::string_view, Method>& methods() {
    static const std::unordered_map<std::string_view, Method> table = {
        {"upper", mapped<to_upper>},
        {"lower", mapped<to_lower>},
        {"casefold", mapped<to_lower>},
        {"title", mapped<to_title>},
        {"capitalize", mapped<capitalize>},
        {"swapcase", mapped<swap_case>},
        {"strip", stripped<true, true>},
        {"lstrip", stripped<true, false>},
        {"rstrip", stripped<false, true>},
        {"isalpha", all_points<is_alpha>},
        {"isdigit", all_points<is_digit>},
        {"isdecimal", all_points<is_decimal>},
        {"isnumeric", all_points<is_digit>},
        {"isalnum", all_points<is_alnum>},
        {"isspace", all_points<is_space>},
        {"isascii", all_points<is_ascii>},
        {"isupper", has_case<true>},
        {"islower", has_case<false>},
        {"startswith", has_affix<true>},
        {"endswith", has_affix<false>},
        {"find", found_at<false, false>},
        {"rfind", found_at<true, false>},
        {"index", found_at<false, true>},
        {"rindex", found_at<true, true>},
        {"count", counted},
        {"replace", replaced},
        {"join", joined},
        {"ljust", padded<Align::left>},
        {"rjust", padded<Align::right>},
        {"center", padded<Align::center>},
        {"zfill", zero_filled},
        {"removeprefix", without_affix<true>},
        {"removesuffix", without_affix<false>},
        {"format", formatted},
        {"split", split_method<false>},
        {"rsplit", split_method<true>},
        {"splitlines", splitlines_method},
        {"partition", partition_method<false>},
        {"rpartition", partition_method<true>},
    };
    return table;
}

}  // namespace

bool has_string_method(std::string_view name) {
    return methods().contains(name);
}

Result<Value> call_string_method(Runtime& runtime, const Value& self, std::string_view name,
                                 Arguments& arguments) {
    return methods().at(name)(runtime, self.text(), arguments);
}

}  // namespace kvasir::jinja
