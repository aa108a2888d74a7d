// "%s" % value and "{}".format(value). Source: Python's printf-style and format-spec grammars.
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "daemon/template/methods_string.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

constexpr std::int64_t kMaxWidth = 100'000;

/// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
    std::string fill = " ";
    char align = 0;  // '<', '>', '^', '='
    char sign = '-';
    bool alternate = false;
    std::int64_t width = 0;
    char group = 0;
    std::int64_t precision = -1;
    char type = 0;
};

std::int64_t read_number(std::string_view text, std::size_t& at) {
    std::int64_t n = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
        n = std::min<std::int64_t>(n * 10 + (text[at] - '0'), kMaxWidth + 1);
    return n;
}

Result<Spec> check(Spec spec) {
    if (spec.width <= kMaxWidth && spec.precision <= 100) return spec;
    return Error{ErrorCode::too_large, "format: width or precision too large"};
}

Result<Spec> parse_spec(std::string_view text) {
    Spec spec;
    std::size_t at = 0;
    const auto is_align = [&](std::size_t i) {
        return i < text.size() && std::string_view("<>^=").find(text[i]) != std::string_view::npos;
    };
    const auto take = [&](std::string_view any) {
        return at < text.size() && any.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
    };
    const std::size_t first = text.empty() ? 0 : point_bytes(text, 0);
    if (first > 0 && is_align(first)) {
        spec.fill = text.substr(0, first);
        at = first;
    }
    spec.align = take("<>^=");
    if (const char sign = take("+- ")) spec.sign = sign;
    spec.alternate = take("#") != 0;
    if (take("0") != 0 && spec.align == 0) {
        spec.fill = "0";
        spec.align = '=';
    }
    spec.width = read_number(text, at);
    spec.group = take(",_");
    if (take(".") != 0) spec.precision = read_number(text, at);
    spec.type = take("sdifFeEgGxXobc%n");
    if (at != text.size()) return type_error(fmt::format("invalid format specifier '{}'", text));
    return check(spec);
}

std::string grouped(const std::string& digits, char mark) {
    const std::size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
    std::string out;
    for (std::size_t i = 0; i < end; ++i) {
        if (i > 0 && (end - i) % 3 == 0) out += mark;
        out += digits[i];
    }
    return out + digits.substr(end);
}

/// %g: trailing zeros go, unless `#`.
std::string real_digits(double value, const Spec& spec) {
    const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
    switch (spec.type) {
        case 'e': return fmt::format("{:.{}e}", value, precision);
        case 'E': return fmt::format("{:.{}E}", value, precision);
        case 'g': return fmt::format("{:.{}g}", value, precision);
        case 'G': return fmt::format("{:.{}G}", value, precision);
        case '%': return fmt::format("{:.{}f}%", value * 100, precision);
        case 'f':
        case 'F': return fmt::format("{:.{}f}", value, precision);
        default: break;
    }
    if (spec.precision < 0) return real_text(value);
    return fmt::format("{:.{}g}", value, precision);
}

std::string integer_digits(std::uint64_t magnitude, const Spec& spec) {
    switch (spec.type) {
        case 'x': return (spec.alternate ? "0x" : "") + fmt::format("{:x}", magnitude);
        case 'X': return (spec.alternate ? "0X" : "") + fmt::format("{:X}", magnitude);
        case 'o': return (spec.alternate ? "0o" : "") + fmt::format("{:o}", magnitude);
        case 'b': return (spec.alternate ? "0b" : "") + fmt::format("{:b}", magnitude);
        default: return fmt::format("{}", magnitude);
    }
}

/// Sign and digits, padded.
Result<std::string> number_text(Runtime& runtime, const Value& value, const Spec& spec) {
    constexpr std::string_view kRealTypes = "fFeEgG%";
    const bool is_real = value.is<double>() ||
                         (spec.type != 0 && kRealTypes.find(spec.type) != std::string_view::npos);
    bool is_negative = false;
    std::string digits;
    if (is_real) {
        if (spec.type != 0 && kRealTypes.find(spec.type) == std::string_view::npos)
            return type_error(fmt::format("format code '{}' for a float", spec.type));
        is_negative = std::signbit(value.real());
        digits = real_digits(std::fabs(value.real()), spec);
    } else {
        const std::int64_t n = value.integer();
        is_negative = n < 0;
        digits = integer_digits(
            is_negative ? 0 - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n), spec);
    }
    if (spec.group != 0) digits = grouped(digits, spec.group);
    std::string sign = is_negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (spec.align == '=') {
        KVASIR_TRY(
            const Value filled,
            pad_text(runtime, digits,
                     std::max<std::int64_t>(spec.width - static_cast<std::int64_t>(sign.size()), 0),
                     spec.fill, Align::right));
        return sign + filled.text();
    }
    return sign + digits;
}

Result<std::string> apply_spec(Runtime& runtime, const Value& value, const Spec& spec) {
    if (value.is_undefined() && (spec.width > 0 || spec.type != 0)) return undefined_error(value);
    std::string text;
    const bool as_number =
        value.is_number() && spec.type != 's' && (!value.is_bool() || spec.type != 0);
    if (as_number) {
        KVASIR_TRY(text, number_text(runtime, value, spec));
    } else {
        if (spec.type != 0 && spec.type != 's') {
            return type_error(fmt::format("unknown format code '{}' for object of type '{}'",
                                          spec.type, value.type_name()));
        }
        KVASIR_TRY(text, runtime.to_text(value));
        if (spec.precision >= 0)
            text.resize(point_offset(text, static_cast<std::uint64_t>(spec.precision)));
    }
    Align align = as_number ? Align::right : Align::left;
    if (spec.align == '<') align = Align::left;
    if (spec.align == '>') align = Align::right;
    if (spec.align == '^') align = Align::center;
    if (align == Align::center) {  // format() rounds to the left, str.center by the width
        const auto size = static_cast<std::int64_t>(count_points(text));
        const std::int64_t left = std::max<std::int64_t>(spec.width - size, 0) / 2;
        KVASIR_TRY(const Value start,
                   pad_text(runtime, text, size + left, spec.fill, Align::right));
        text = start.text();
        align = Align::left;
    }
    KVASIR_TRY(const Value padded, pad_text(runtime, text, spec.width, spec.fill, align));
    return padded.text();
}

}  // namespace

Result<Value> percent_format(Runtime& runtime, std::string_view pattern, const Value& value) {
    const bool is_tuple = value.is_sequence(SequenceType::tuple);
    std::size_t n_used = 0;
    std::string out;
    const auto next = [&]() -> Result<Value> {
        const std::size_t n = n_used++;
        if (!is_tuple && n == 0) return value;
        if (is_tuple && n < value.items().size()) return value.items()[n];
        return type_error("not enough arguments for format string");
    };
    bool by_name = false;
    for (std::size_t at = 0; at < pattern.size();) {
        KVASIR_TRY_VOID(runtime.check_string(out.size()));
        if (pattern[at] != '%') {
            out += pattern[at++];
            continue;
        }
        if (++at >= pattern.size()) return type_error("incomplete format");
        if (pattern[at] == '%') {
            out += pattern[at++];
            continue;
        }
        std::optional<Value> named;
        if (pattern[at] == '(') {
            const std::size_t end = pattern.find(')', at);
            if (end == std::string_view::npos) return type_error("incomplete format key");
            if (!value.is_dict()) return type_error("format requires a mapping");
            const Value* found = value.dict().find(pattern.substr(at + 1, end - at - 1));
            if (found == nullptr) return type_error("format: no such key");
            named = *found;
            by_name = true;
            at = end + 1;
        }
        Spec spec;
        spec.align = '>';
        for (; at < pattern.size(); ++at) {
            if (pattern[at] == '-')
                spec.align = '<';
            else if (pattern[at] == '0')
                spec.fill = "0";
            else if (pattern[at] == '+' || pattern[at] == ' ')
                spec.sign = pattern[at];
            else if (pattern[at] == '#')
                spec.alternate = true;
            else
                break;
        }
        if (spec.align == '<') spec.fill = " ";
        if (spec.fill == "0") spec.align = '=';
        spec.width = read_number(pattern, at);
        if (at < pattern.size() && pattern[at] == '.') spec.precision = read_number(pattern, ++at);
        if (at >= pattern.size()) return type_error("incomplete format");
        spec.type = pattern[at++];
        KVASIR_TRY(spec, check(spec));
        Value argument;
        if (named) {
            argument = *named;
        } else {
            KVASIR_TRY(argument, next());
        }
        std::string text;
        if (spec.type == 's' || spec.type == 'r') {
            KVASIR_TRY(text,
                       spec.type == 's' ? runtime.to_text(argument) : runtime.to_repr(argument));
            spec.type = 's';
            if (spec.align == '=') {
                spec.align = '>';
                spec.fill = " ";
            }
            KVASIR_TRY(argument, runtime.make_string(std::move(text)));
        } else if (std::string_view("diufFeEgGxXo").find(spec.type) == std::string_view::npos) {
            return type_error(fmt::format("unsupported format character 0x{:x}",
                                          static_cast<unsigned char>(spec.type)));
        } else if (!argument.is_number()) {
            if (argument.is_undefined()) return undefined_error(argument);
            return type_error(fmt::format("%{} format: a number is required, not {}", spec.type,
                                          argument.type_name()));
        } else if (spec.type == 'd' || spec.type == 'i' || spec.type == 'u') {
            spec.type = 'd';
            if (argument.is<double>()) {
                if (!(std::fabs(argument.real()) < 9e18))
                    return type_error("integer overflow: beyond 64 bits");
                argument = Value(static_cast<std::int64_t>(argument.real()));
            }
        }
        KVASIR_TRY(const std::string piece, apply_spec(runtime, argument, spec));
        out += piece;
    }
    const std::size_t n_given = is_tuple ? value.items().size() : 1;
    if (!by_name && n_used < n_given && !value.is_dict() && (is_tuple || !value.is_undefined()))
        return type_error("not all arguments converted during string formatting");
    return runtime.make_string(std::move(out));
}

namespace {

/// `0.name[key]` of a replacement field.
Result<Value> field_value(Runtime& runtime, std::string_view field, const Arguments& arguments,
                          std::size_t& n_automatic) {
    std::size_t at = std::min(field.find_first_of(".["), field.size());
    const std::string_view name = field.substr(0, at);
    Value value;
    std::size_t index = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name.empty() || (failed == std::errc() && end == name.data() + name.size())) {
        if (name.empty()) index = n_automatic++;
        if (index >= arguments.positional.size()) {
            return type_error(
                fmt::format("replacement index {} out of range for positional args", index));
        }
        value = arguments.positional[index];
    } else {
        bool found = false;
        for (const auto& [key, given] : arguments.named) {
            if (key != name) continue;
            value = given;
            found = true;
        }
        if (!found) return type_error(fmt::format("format: no argument '{}'", name));
    }
    while (at < field.size()) {
        const bool is_index = field[at] == '[';
        const std::size_t begin = at + 1;
        const std::size_t stop = is_index
                                     ? field.find(']', begin)
                                     : std::min(field.find_first_of(".[", begin), field.size());
        if (stop == std::string_view::npos) return type_error("expected ']' in the format field");
        const std::string_view key = field.substr(begin, stop - begin);
        std::int64_t number = 0;
        const auto [key_end, no_number] =
            std::from_chars(key.data(), key.data() + key.size(), number);
        if (!is_index) {
            KVASIR_TRY(value, get_attribute(runtime, value, key));
        } else if (no_number == std::errc() && key_end == key.data() + key.size()) {
            KVASIR_TRY(value, get_item(runtime, value, Value(number)));
        } else {
            KVASIR_TRY(const Value text, runtime.make_string(std::string(key)));
            KVASIR_TRY(value, get_item(runtime, value, text));
        }
        if (value.is_undefined()) return undefined_error(value);
        at = is_index ? stop + 1 : stop;
    }
    return value;
}

}  // namespace

Result<Value> brace_format(Runtime& runtime, std::string_view pattern, Arguments& arguments) {
    std::string out;
    std::size_t n_automatic = 0;
    for (std::size_t at = 0; at < pattern.size(); ++at) {
        KVASIR_TRY_VOID(runtime.check_string(out.size()));
        const char c = pattern[at];
        if (c != '{' && c != '}') {
            out += c;
            continue;
        }
        if (at + 1 < pattern.size() && pattern[at + 1] == c) {
            out += c;
            ++at;
            continue;
        }
        const std::size_t end = pattern.find('}', at);
        if (c == '}' || end == std::string_view::npos)
            return type_error(fmt::format("single '{}' encountered in format string", c));
        std::string_view field = pattern.substr(at + 1, end - at - 1);
        if (field.find('{') != std::string_view::npos) {
            return Error{ErrorCode::unsupported, "format: replacement fields within each other"};
        }
        at = end;
        const std::size_t colon = std::min(field.find(':'), field.size());
        const std::string_view spec_text = colon < field.size() ? field.substr(colon + 1) : "";
        field = field.substr(0, colon);
        const std::size_t mark = std::min(field.find('!'), field.size());
        const std::string_view conversion = field.substr(mark);
        KVASIR_TRY(Value value,
                   field_value(runtime, field.substr(0, mark), arguments, n_automatic));
        if (conversion == "!r" || conversion == "!s") {
            KVASIR_TRY(std::string text,
                       conversion == "!r" ? runtime.to_repr(value) : runtime.to_text(value));
            KVASIR_TRY(value, runtime.make_string(std::move(text)));
        } else if (!conversion.empty()) {
            return type_error(fmt::format("unknown conversion '{}'", conversion));
        }
        KVASIR_TRY(const Spec spec, parse_spec(spec_text));
        KVASIR_TRY(const std::string text, apply_spec(runtime, value, spec));
        out += text;
    }
    return runtime.make_string(std::move(out));
}

}  // namespace kvasir::jinja
