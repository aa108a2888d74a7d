// Filters over sequences and dicts as wholes.
#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/filters.hpp"
#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

namespace {

Result<Value> length_of(Runtime&, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "length", {}));
    if (value.is_undefined()) return Value(std::int64_t{0});
    if (value.is_string()) return Value(static_cast<std::int64_t>((*value.as<String>())->n_points));
    if (value.is_dict()) return Value(static_cast<std::int64_t>(value.dict().pairs.size()));
    if (value.is<Sequence>() && !value.is_sequence(SequenceType::iterator))
        return Value(static_cast<std::int64_t>(value.items().size()));
    return type_error(fmt::format("object of type '{}' has no len()", value.type_name()));
}

Result<Value> joined(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "join", {"d", "attribute"}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    std::string separator;
    if (bound[0]) {
        KVASIR_TRY(separator, runtime.to_text(*bound[0]));
    }
    std::string out;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Value item = items[i];
        if (bound[1] && !bound[1]->is_none()) {
            KVASIR_TRY(item, follow_path(runtime, item, *bound[1], std::nullopt));
        }
        KVASIR_TRY(const std::string part, runtime.to_text(item));
        KVASIR_TRY_VOID(runtime.check_string(out.size() + separator.size() + part.size()));
        KVASIR_TRY_VOID(runtime.work(separator.size()));
        if (i > 0) out += separator;
        out += part;
    }
    return runtime.make_string(std::move(out));
}

template <bool last>
Result<Value> end_item(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, last ? "last" : "first", {}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    if (items.empty()) {
        return make_undefined(last ? "No last item, sequence was empty."
                                   : "No first item, sequence was empty.");
    }
    return last ? items.back() : items.front();
}

Result<Value> listed(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "list", {}));
    KVASIR_TRY(Items items, runtime.iterate(value));
    return runtime.make_list(std::move(items));
}

Result<Value> item_pairs(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "items", {}));
    if (value.is_undefined()) return runtime.make_list({}, SequenceType::iterator);
    if (!value.is_dict()) return type_error("Can only get item pairs from a mapping.");
    Arguments no_arguments;
    KVASIR_TRY(const Value pairs, call_method(runtime, value, "items", no_arguments));
    return runtime.make_list(pairs.items(), SequenceType::iterator);
}

Result<Value> reversed(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY([[maybe_unused]] const auto none, bind(arguments, "reverse", {}));
    if (value.is_string()) {
        return get_slice(runtime, value, Value(None{}), Value(None{}), Value(std::int64_t{-1}));
    }
    KVASIR_TRY(Items items, runtime.iterate(value));
    std::reverse(items.begin(), items.end());
    return runtime.make_list(std::move(items), SequenceType::iterator);
}

Result<Value> dict_sorted(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "dictsort", {"case_sensitive", "by", "reverse"}));
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_dict()) {
        return type_error(fmt::format("'{}' object has no attribute 'items'", value.type_name()));
    }
    bool by_value = false;
    if (bound[1]) {
        KVASIR_TRY(const std::string_view by, to_string_view(*bound[1], "by"));
        if (by != "key" && by != "value")
            return type_error("You can only sort by either \"key\" or \"value\"");
        by_value = by == "value";
    }
    std::vector<std::pair<Value, Value>> keyed;
    for (const auto& [key, item] : value.dict().pairs) {
        KVASIR_TRY(Value sort_by, sort_key(runtime, by_value ? item : key, flag(bound[0])));
        KVASIR_TRY(Value pair, runtime.make_list({key, item}, SequenceType::tuple));
        keyed.emplace_back(std::move(sort_by), std::move(pair));
    }
    KVASIR_TRY_VOID(sort_by_keys(runtime, keyed, flag(bound[2])));
    Items items;
    for (auto& pair : keyed) items.push_back(std::move(pair.second));
    return runtime.make_list(std::move(items));
}

/// The key of sort, min, unique, groupby: the item, or its attribute, or several with commas.
Result<Value> item_key(Runtime& runtime, const Value& item, const std::optional<Value>& attribute,
                       bool case_sensitive, bool may_list = false) {
    if (!attribute || attribute->is_none()) return sort_key(runtime, item, case_sensitive);
    if (!may_list || !attribute->is_string() || attribute->text().find(',') == std::string::npos) {
        KVASIR_TRY(const Value found, follow_path(runtime, item, *attribute, std::nullopt));
        return sort_key(runtime, found, case_sensitive);
    }
    Items keys;
    std::string_view rest = attribute->text();
    for (bool more = true; more;) {
        const std::size_t comma = rest.find(',');
        more = comma != std::string_view::npos;
        KVASIR_TRY(const Value path, runtime.make_string(std::string(rest.substr(0, comma))));
        KVASIR_TRY(const Value found, follow_path(runtime, item, path, std::nullopt));
        KVASIR_TRY(keys.emplace_back(), sort_key(runtime, found, case_sensitive));
        if (more) rest = rest.substr(comma + 1);
    }
    return runtime.make_list(std::move(keys));
}

Result<Value> sorted(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound,
               bind(arguments, "sort", {"reverse", "case_sensitive", "attribute"}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    std::vector<std::pair<Value, Value>> keyed;
    for (const Value& item : items) {
        KVASIR_TRY(Value key, item_key(runtime, item, bound[2], flag(bound[1]), true));
        keyed.emplace_back(std::move(key), item);
    }
    KVASIR_TRY_VOID(sort_by_keys(runtime, keyed, flag(bound[0])));
    Items out;
    for (auto& pair : keyed) out.push_back(std::move(pair.second));
    return runtime.make_list(std::move(out));
}

template <bool largest>
Result<Value> extreme(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound,
               bind(arguments, largest ? "max" : "min", {"case_sensitive", "attribute"}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    if (items.empty()) return make_undefined("No aggregated item, sequence was empty.");
    Value best = items.front();
    KVASIR_TRY(Value best_key, item_key(runtime, best, bound[1], flag(bound[0])));
    for (std::size_t i = 1; i < items.size(); ++i) {
        KVASIR_TRY(Value key, item_key(runtime, items[i], bound[1], flag(bound[0])));
        KVASIR_TRY(const bool better, largest ? less(best_key, key) : less(key, best_key));
        if (!better) continue;
        best = items[i];
        best_key = std::move(key);
    }
    return best;
}

Result<Value> unique(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "unique", {"case_sensitive", "attribute"}));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    Items seen, kept;
    for (const Value& item : items) {
        KVASIR_TRY(Value key, item_key(runtime, item, bound[1], flag(bound[0])));
        if (!is_hashable(key))
            return type_error(fmt::format("unhashable type: '{}'", key.type_name()));
        KVASIR_TRY_VOID(runtime.step(1 + seen.size() / 4));
        const bool known = std::any_of(seen.begin(), seen.end(),
                                       [&](const Value& other) { return equals(other, key); });
        if (known) continue;
        seen.push_back(std::move(key));
        kept.push_back(item);
    }
    return runtime.make_list(std::move(kept), SequenceType::iterator);
}

Result<Value> grouped(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound,
               bind(arguments, "groupby", {"attribute", "default", "case_sensitive"}, 1));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    std::vector<std::pair<Value, Value>> keyed;
    for (const Value& item : items) {
        KVASIR_TRY(const Value found, follow_path(runtime, item, *bound[0], bound[1]));
        KVASIR_TRY(Value key, sort_key(runtime, found, flag(bound[2])));
        keyed.emplace_back(std::move(key), item);
    }
    KVASIR_TRY_VOID(sort_by_keys(runtime, keyed, false));
    Items groups;
    for (std::size_t begin = 0, end = 0; begin < keyed.size(); begin = end) {
        Items members;
        for (; end < keyed.size() && equals(keyed[begin].first, keyed[end].first); ++end)
            members.push_back(keyed[end].second);
        if (end == begin) members.push_back(keyed[end++].second);  // NaN equals nothing
        KVASIR_TRY(const Value name, follow_path(runtime, members.front(), *bound[0], bound[1]));
        KVASIR_TRY(const Value list, runtime.make_list(std::move(members)));
        KVASIR_TRY(groups.emplace_back(), runtime.make_list({name, list}, SequenceType::tuple));
    }
    return runtime.make_list(std::move(groups));
}

/// batch: rows of n items.
Result<Value> batched(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "batch", {"linecount", "fill_with"}, 1));
    KVASIR_TRY(const std::int64_t n, to_integer(*bound[0], "batch"));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    if (n < 1 || static_cast<std::uint64_t>(n) > runtime.limits().range_items)
        return type_error("batch: line count out of range");
    const auto n_items = static_cast<std::size_t>(n);
    Items rows;
    for (std::size_t begin = 0; begin < items.size(); begin += n_items) {
        const std::size_t end = std::min(items.size(), begin + n_items);
        Items row(items.begin() + static_cast<std::ptrdiff_t>(begin),
                  items.begin() + static_cast<std::ptrdiff_t>(end));
        if (bound[1] && !bound[1]->is_none()) row.resize(n_items, *bound[1]);
        KVASIR_TRY(rows.emplace_back(), runtime.make_list(std::move(row)));
    }
    return runtime.make_list(std::move(rows), SequenceType::iterator);
}

/// slice: n columns.
Result<Value> sliced(Runtime& runtime, const Value& value, Arguments& arguments) {
    KVASIR_TRY(const auto bound, bind(arguments, "slice", {"slices", "fill_with"}, 1));
    KVASIR_TRY(const std::int64_t given, to_integer(*bound[0], "slice"));
    KVASIR_TRY(const Items items, runtime.iterate(value));
    if (given < 1 || static_cast<std::uint64_t>(given) > runtime.limits().range_items)
        return type_error("slice: number of slices out of range");
    const auto n = static_cast<std::size_t>(given);
    const std::size_t each = items.size() / n, n_longer = items.size() % n;
    Items slices;
    std::size_t at = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t size = each + (i < n_longer ? 1 : 0);
        Items part(items.begin() + static_cast<std::ptrdiff_t>(at),
                   items.begin() + static_cast<std::ptrdiff_t>(at + size));
        if (bound[1] && !bound[1]->is_none() && i >= n_longer) part.push_back(*bound[1]);
        KVASIR_TRY(slices.emplace_back(), runtime.make_list(std::move(part)));
        at += size;
    }
    return runtime.make_list(std::move(slices), SequenceType::iterator);
}

}  // namespace

const FilterTable& sequence_filters() {
    static const FilterTable table = {
        {"length", length_of},      {"count", length_of},     {"join", joined},
        {"first", end_item<false>}, {"last", end_item<true>}, {"list", listed},
        {"items", item_pairs},      {"reverse", reversed},    {"dictsort", dict_sorted},
        {"sort", sorted},           {"min", extreme<false>},  {"max", extreme<true>},
        {"unique", unique},         {"groupby", grouped},     {"batch", batched},
        {"slice", sliced},
    };
    return table;
}

}  // namespace kvasir::jinja
