// tojson as transformers defines it: json.dumps with ensure_ascii off, no HTML escapes.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "daemon/template/runtime.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

class JsonText {
public:
    JsonText(Runtime& runtime, const JsonLayout& layout) : runtime_(runtime), layout_(layout) {}

    Result<> append(const Value& value, std::uint32_t level) {
        KVASIR_TRY_VOID(runtime_.step());
        KVASIR_TRY_VOID(runtime_.check_string(out.size()));
        if (value.is_string()) return append_string(value.text());
        if (value.is_dict()) return append_dict(value.dict(), level);
        if (value.is_sequence(SequenceType::list) || value.is_sequence(SequenceType::tuple))
            return append_list(value.items(), level);
        if (value.is_none() || value.is_number()) {
            out += scalar(value);
            return {};
        }
        return type_error(
            fmt::format("object of type {} is not JSON serializable", value.type_name()));
    }

    std::string out;

private:
    static std::string scalar(const Value& value) {
        if (value.is_none()) return "null";
        if (value.is_bool()) return value.integer() != 0 ? "true" : "false";
        if (value.is_integer()) return fmt::format("{}", value.integer());
        if (std::isnan(value.real())) return "NaN";
        if (std::isinf(value.real())) return value.real() < 0 ? "-Infinity" : "Infinity";
        return real_text(value.real());
    }

    void new_line(std::uint32_t level) {
        if (!layout_.indent) return;
        out += '\n';
        for (std::uint32_t i = 0; i < level; ++i) out += *layout_.indent;
    }

    Result<> append_list(const Items& items, std::uint32_t level) {
        out += '[';
        bool first = true;
        for (const Value& item : items) {
            if (!std::exchange(first, false)) out += layout_.item_separator;
            new_line(level + 1);
            KVASIR_TRY_VOID(append(item, level + 1));
        }
        if (!items.empty()) new_line(level);
        out += ']';
        return {};
    }

    Result<> append_dict(const DictObject& dict, std::uint32_t level) {
        std::vector<const std::pair<Value, Value>*> pairs;
        for (const auto& pair : dict.pairs) pairs.push_back(&pair);
        if (layout_.sorted) KVASIR_TRY_VOID(sort(pairs));
        out += '{';
        bool first = true;
        for (const auto* pair : pairs) {
            if (!std::exchange(first, false)) out += layout_.item_separator;
            new_line(level + 1);
            if (pair->first.is_string()) {
                KVASIR_TRY_VOID(append_string(pair->first.text()));
            } else if (pair->first.is_none() || pair->first.is_number()) {
                out += '"' + scalar(pair->first) + '"';
            } else {
                return type_error(fmt::format("keys must be str, int, float, bool or None, not {}",
                                              pair->first.type_name()));
            }
            out += layout_.key_separator;
            KVASIR_TRY_VOID(append(pair->second, level + 1));
        }
        if (!pairs.empty()) new_line(level);
        out += '}';
        return {};
    }

    Result<> sort(std::vector<const std::pair<Value, Value>*>& pairs) {
        for (const auto* pair : pairs) {
            const auto comparable = less(pairs.front()->first, pair->first);
            if (comparable.has_error()) return comparable.error();
        }
        KVASIR_TRY_VOID(runtime_.step(pairs.size() * 8));
        std::stable_sort(pairs.begin(), pairs.end(), [](const auto* a, const auto* b) {
            const auto before = less(a->first, b->first);
            return before.has_value() && *before;
        });
        return {};
    }

    void append_escaped(std::uint32_t unit) { out += fmt::format("\\u{:04x}", unit); }

    Result<> append_string(std::string_view text) {
        KVASIR_TRY_VOID(runtime_.work(text.size() * 8));
        out += '"';
        for (std::size_t at = 0; at < text.size(); at += point_bytes(text, at)) {
            const char32_t point = point_at(text, at);
            switch (point) {
                case '"': out += "\\\""; continue;
                case '\\': out += "\\\\"; continue;
                case '\n': out += "\\n"; continue;
                case '\r': out += "\\r"; continue;
                case '\t': out += "\\t"; continue;
                case '\b': out += "\\b"; continue;
                case '\f': out += "\\f"; continue;
                default: break;
            }
            if (point < 0x20 || (layout_.ascii && point >= 0x7f && point < 0x10000)) {
                if (point == 0x7f)
                    out += '\x7f';
                else
                    append_escaped(static_cast<std::uint32_t>(point));
            } else if (layout_.ascii && point >= 0x10000) {
                append_escaped(0xd800 + ((static_cast<std::uint32_t>(point) - 0x10000) >> 10));
                append_escaped(0xdc00 + ((static_cast<std::uint32_t>(point) - 0x10000) & 0x3ff));
            } else {
                append_point(out, point);
            }
        }
        out += '"';
        return {};
    }

    Runtime& runtime_;
    const JsonLayout& layout_;
};

}  // namespace

Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonLayout& layout) {
    if (value.is_undefined()) return type_error("Undefined is not JSON serializable");
    JsonText text(runtime, layout);
    KVASIR_TRY_VOID(text.append(value, 0));
    return std::move(text.out);
}

}  // namespace kvasir::jinja
