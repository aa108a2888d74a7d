// Python's str() and repr().
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "daemon/template/runtime.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

std::string real_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::array<char, 64> buffer{};
    const auto scientific = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::scientific);
    const std::string_view shortest(buffer.data(),
                                    static_cast<std::size_t>(scientific.ptr - buffer.data()));
    const std::size_t mark = shortest.find('e');
    int exponent = 0;
    const char* digits = shortest.data() + mark + (shortest[mark + 1] == '+' ? 2 : 1);
    std::from_chars(digits, shortest.data() + shortest.size(), exponent);
    if (exponent < -4 || exponent >= 16) {
        return fmt::format("{}e{}{:02d}", shortest.substr(0, mark), exponent < 0 ? '-' : '+',
                           std::abs(exponent));
    }
    std::array<char, 64> plain{};
    const auto fixed =
        std::to_chars(plain.data(), plain.data() + plain.size(), value, std::chars_format::fixed);
    std::string text(plain.data(), fixed.ptr);
    if (text.find('.') == std::string::npos) text += ".0";
    return text;
}

Result<std::string> Runtime::to_text(const Value& value) {
    if (value.is_string()) {
        KVASIR_TRY_VOID(work(value.text().size()));
        return value.text();
    }
    if (value.is_undefined()) return std::string();
    return to_repr(value);
}

Result<std::string> Runtime::to_repr(const Value& value) {
    std::string out;
    KVASIR_TRY_VOID(append_repr(out, value));
    return out;
}

namespace {

struct Brackets {
    const char* open;
    const char* close;
};

Brackets brackets(SequenceType type) {
    switch (type) {
        case SequenceType::list: return {"[", "]"};
        case SequenceType::view: return {"dict_items([", "])"};
        default: return {"(", ")"};
    }
}

std::string range_text(const Items& items) {
    if (items.empty()) return "range(0, 0)";
    const std::int64_t first = items.front().integer();
    const std::int64_t step = items.size() > 1 ? items[1].integer() - first : 1;
    const std::int64_t end = items.back().integer() + step;
    if (step == 1) return fmt::format("range({}, {})", first, end);
    return fmt::format("range({}, {}, {})", first, end, step);
}

}  // namespace

/// Recurses as deep as containers nest: kMaxValueDepth.
Result<> Runtime::append_repr(std::string& out, const Value& value) {
    KVASIR_TRY_VOID(step());
    KVASIR_TRY_VOID(check_string(out.size()));
    if (value.is_string()) {
        KVASIR_TRY_VOID(work(value.text().size() * 8));
        out += quote(value.text());
    } else if (value.is_undefined()) {
        out += "Undefined";
    } else if (value.is_none()) {
        out += "None";
    } else if (value.is_bool()) {
        out += value.integer() != 0 ? "True" : "False";
    } else if (value.is_integer()) {
        out += fmt::format("{}", value.integer());
    } else if (value.is<double>()) {
        out += real_text(value.real());
    } else if (value.is_dict()) {
        out += '{';
        bool first = true;
        for (const auto& [key, item] : value.dict().pairs) {
            if (!std::exchange(first, false)) out += ", ";
            KVASIR_TRY_VOID(append_repr(out, key));
            out += ": ";
            KVASIR_TRY_VOID(append_repr(out, item));
        }
        out += '}';
    } else if (value.is_sequence(SequenceType::range)) {
        out += range_text(value.items());
    } else if (value.is<Sequence>() && !value.is_sequence(SequenceType::iterator)) {
        const Brackets around = brackets((*value.as<Sequence>())->type);
        out += around.open;
        bool first = true;
        for (const Value& item : value.items()) {
            if (!std::exchange(first, false)) out += ", ";
            KVASIR_TRY_VOID(append_repr(out, item));
        }
        if (value.is_sequence(SequenceType::tuple) && value.items().size() == 1) out += ',';
        out += around.close;
    } else {
        out += fmt::format("<{}>", value.type_name());
    }
    return {};
}

}  // namespace kvasir::jinja
