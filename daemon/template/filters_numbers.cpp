// int, float, abs, round, sum, and default.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "daemon/template/ast.hpp"
#include "daemon/template/filters.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

/// Text without surrounding whitespace and underscores between digits.
std::string number_digits(std::string_view text) {
    std::string out;
    text = strip(text, true, true);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool between = text[i] == '_' && i > 0 && i + 1 < text.size() &&
                             std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 &&
                             std::isalnum(static_cast<unsigned char>(text[i + 1])) != 0;
        if (!between) out += text[i];
    }
    return out;
}

std::optional<double> parse_real(std::string_view text) {
    const std::string digits = number_digits(text);
    const char* begin = digits.c_str();
    if (*begin == '+' && begin[1] != '-') ++begin;
    double value = 0;
    const auto [end, failed] = std::from_chars(begin, digits.c_str() + digits.size(), value);
    if (failed != std::errc() || end != digits.c_str() + digits.size()) return std::nullopt;
    return value;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
    std::string digits = number_digits(text);
    const bool negative = !digits.empty() && digits[0] == '-';
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
    if (digits.size() > 2 && digits[0] == '0') {
        const char marker = static_cast<char>(digits[1] | 0x20);
        const int marked = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
        if (marked != 0 && (base == marked || base == 0)) {
            digits.erase(0, 2);
            base = marked;
        }
    }
    if (digits.empty() || digits[0] == '-') return std::nullopt;
    if (negative) digits.insert(digits.begin(), '-');
    std::int64_t value = 0;
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base == 0 ? 10 : base);
    if (failed != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

std::optional<std::int64_t> whole(double value) {
    if (!(std::fabs(value) < 9.2e18)) return std::nullopt;
    return static_cast<std::int64_t>(value);
}

Result<Value> to_int(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "int", {"default", "base"}));
    if (value.is_undefined()) return undefined_error(value);
    std::int64_t base = 10;
    if (bound[1]) {
        KVASIR_TRY(base, to_integer(*bound[1], "base"));
    }
    if (base != 0 && (base < 2 || base > 36)) return type_error("int: base must be 2 to 36, or 0");
    std::optional<std::int64_t> number;
    if (value.is_integer()) number = value.integer();
    if (value.is<double>()) number = whole(value.real());
    if (value.is_string()) {
        KVASIR_TRY_VOID(runtime.work(value.text().size()));
        number = parse_integer(value.text(), static_cast<int>(base));
        if (const auto real = parse_real(value.text()); !number && real) number = whole(*real);
    }
    if (number) return Value(*number);
    return bound[0].value_or(Value(std::int64_t{0}));
}

Result<Value> to_float(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "float", {"default"}));
    if (value.is_undefined()) return undefined_error(value);
    if (value.is_number()) return Value(value.real());
    if (value.is_string()) {
        KVASIR_TRY_VOID(runtime.work(value.text().size()));
        if (const auto real = parse_real(value.text())) return Value(*real);
    }
    return bound[0].value_or(Value(0.0));
}

Result<Value> absolute(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "abs", {}));
    if (value.is<double>()) return Value(std::fabs(value.real()));
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_integer())
        return type_error(fmt::format("bad operand type for abs(): '{}'", value.type_name()));
    if (value.integer() >= 0) return Value(value.integer());
    return binary(runtime, Op::sub, Value(std::int64_t{0}), value);
}

Result<Value> rounded(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "round", {"precision", "method"}));
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_number())
        return type_error(fmt::format("round: {}, expected a number", value.type_name()));
    std::int64_t precision = 0;
    if (bound[0]) {
        KVASIR_TRY(precision, to_integer(*bound[0], "round"));
    }
    if (precision < -300 || precision > 300) return type_error("round: precision out of range");
    std::string method = "common";
    if (bound[1]) {
        KVASIR_TRY(method, runtime.to_text(*bound[1]));
    }
    const double scale = std::pow(10.0, static_cast<double>(precision));
    if (method == "ceil") return Value(std::ceil(value.real() * scale) / scale);
    if (method == "floor") return Value(std::floor(value.real() * scale) / scale);
    if (method != "common") return type_error("round: method must be common, ceil or floor");
    if (value.is_integer() && precision >= 0) return Value(value.integer());
    if (precision >= 0) {  // decimal digits, correctly rounded, as Python's round()
        const std::string text = fmt::format("{:.{}f}", value.real(), precision);
        return Value(std::strtod(text.c_str(), nullptr));
    }
    const double result = std::nearbyint(value.real() * scale) / scale;
    if (value.is_integer()) return Value(whole(result).value_or(value.integer()));
    return Value(result);
}

Result<Value> summed(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "sum", {"attribute", "start"}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    Value total = bound[1].value_or(Value(std::int64_t{0}));
    for (const Value& item : items) {
        Value part = item;
        if (bound[0] && !bound[0]->is_none()) {
            KVASIR_TRY(part, follow_path(runtime, item, *bound[0], std::nullopt));
        }
        KVASIR_TRY(total, binary(runtime, Op::add, total, part));
    }
    return total;
}

Result<Value> defaulted(Runtime&, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "default", {"default_value", "boolean"}));
    if (!value.is_undefined() && !(flag(bound[1]) && !is_true(value))) return value;
    return bound[0].value_or(make_constant(""));
}

}  // namespace

const FilterTable& number_filters() {
    static const FilterTable table = {
        {"int", to_int}, {"float", to_float},    {"abs", absolute}, {"round", rounded},
        {"sum", summed}, {"default", defaulted}, {"d", defaulted},
    };
    return table;
}

}  // namespace kvasir::jinja
