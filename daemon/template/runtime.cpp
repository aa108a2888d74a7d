#include "daemon/template/runtime.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

Runtime::Runtime(const TemplateLimits& limits, const TemplateTime& now)
    : limits_(limits),
      now_(now),
      budget_(std::make_shared<Budget>(
          Budget{limits.n_steps, limits.live_bytes, limits.string_bytes})) {}

Result<> Runtime::step(std::uint64_t n) {
    if (n > budget_->n_steps_left) {
        budget_->n_steps_left = 0;
        return Error{ErrorCode::too_large,
                     fmt::format("the template takes more than {} steps", limits_.n_steps)};
    }
    budget_->n_steps_left -= n;
    return {};
}

Result<> Runtime::check_string(std::uint64_t bytes) const {
    if (bytes > limits_.string_bytes) {
        return Error{ErrorCode::too_large, fmt::format("string of {} bytes, at most {} allowed",
                                                       bytes, limits_.string_bytes)};
    }
    if (bytes + sizeof(StringObject) <= budget_->bytes_left) return {};
    return Error{ErrorCode::too_large,
                 fmt::format("the template's values take more than {} bytes", limits_.live_bytes)};
}

Result<> Runtime::check_items(std::uint64_t n_items) const {
    // A dict's entry with its index is the largest item.
    constexpr std::uint64_t kItemBytes = 2 * (sizeof(Value) + sizeof(std::string_view) + 16);
    if (n_items < budget_->bytes_left / kItemBytes &&
        n_items * kItemBytes + sizeof(DictObject) <= budget_->bytes_left)
        return {};
    return Error{ErrorCode::too_large,
                 fmt::format("the template's values take more than {} bytes", limits_.live_bytes)};
}

Result<> Runtime::charge_object() {
    constexpr std::uint64_t kObjectBytes = 256;
    KVASIR_TRY_VOID(step());
    if (budget_->bytes_left < kObjectBytes) return check_items(budget_->bytes_left);
    budget_->bytes_left -= kObjectBytes;  // objects live until the rendering ends
    return {};
}

Result<Value> Runtime::make_string(std::string text) {
    KVASIR_TRY_VOID(work(text.size()));
    KVASIR_TRY_VOID(check_string(text.size()));
    return Value(String(std::make_shared<StringObject>(std::move(text), budget_)));
}

namespace {

Result<> check_depth(std::uint32_t depth) {
    if (depth <= kMaxValueDepth) return {};
    return Error{ErrorCode::too_large,
                 fmt::format("lists and dicts nested deeper than {} levels", kMaxValueDepth)};
}

}  // namespace

Result<Value> Runtime::make_list(Items items, SequenceType type) {
    KVASIR_TRY_VOID(step(1 + items.size() / 4));
    KVASIR_TRY_VOID(check_items(items.size()));
    auto made = std::make_shared<SequenceObject>(std::move(items), type, budget_);
    KVASIR_TRY_VOID(check_depth(made->depth));
    return Value(Sequence(std::move(made)));
}

Result<Value> Runtime::make_dict(Pairs pairs) {
    KVASIR_TRY_VOID(step(1 + pairs.size()));
    KVASIR_TRY_VOID(check_items(pairs.size()));
    auto made = std::make_shared<DictObject>(std::move(pairs), budget_);
    KVASIR_TRY_VOID(check_depth(made->depth));
    return Value(Dict(std::move(made)));
}

Result<Value> Runtime::make_json(const boost::json::value& value, std::uint32_t depth) {
    KVASIR_TRY_VOID(check_depth(depth));
    switch (value.kind()) {
        case boost::json::kind::null: return Value(None{});
        case boost::json::kind::bool_: return Value(value.get_bool());
        case boost::json::kind::int64: return Value(std::int64_t{value.get_int64()});
        case boost::json::kind::uint64: return Value(static_cast<double>(value.get_uint64()));
        case boost::json::kind::double_: return Value(value.get_double());
        case boost::json::kind::string: {
            const std::string_view text(value.get_string().data(), value.get_string().size());
            if (!is_utf8(text)) return type_error("a string is not UTF-8");
            return make_string(std::string(text));
        }
        case boost::json::kind::array: {
            Items items;
            KVASIR_TRY_VOID(check_items(value.get_array().size()));
            items.reserve(value.get_array().size());
            for (const auto& item : value.get_array()) {
                KVASIR_TRY(items.emplace_back(), make_json(item, depth + 1));
            }
            return make_list(std::move(items));
        }
        case boost::json::kind::object: break;
    }
    Pairs pairs;
    KVASIR_TRY_VOID(check_items(value.get_object().size()));
    pairs.reserve(value.get_object().size());
    for (const auto& pair : value.get_object()) {
        const std::string_view key(pair.key().data(), pair.key().size());
        if (!is_utf8(key)) return type_error("a key is not UTF-8");
        auto& made = pairs.emplace_back();
        KVASIR_TRY(made.first, make_string(std::string(key)));
        KVASIR_TRY(made.second, make_json(pair.value(), depth + 1));
    }
    return make_dict(std::move(pairs));
}

Result<Items> Runtime::iterate(const Value& value) {
    if (value.is_string()) {
        KVASIR_TRY_VOID(check_items((*value.as<String>())->n_points * 2));
    }
    auto items = jinja::iterate(value);
    if (items.has_error()) return std::move(items).error();
    KVASIR_TRY_VOID(step(1 + items->size()));
    return items;
}

Value* Namespace::find(std::string_view name) {
    for (auto& [key, value] : attributes) {
        if (key == name) return &value;
    }
    return nullptr;
}

Result<std::vector<std::optional<Value>>> bind(Arguments& arguments, std::string_view function,
                                               std::initializer_list<std::string_view> names,
                                               std::size_t n_required) {
    std::vector<std::optional<Value>> bound(names.size());
    if (arguments.positional.size() > names.size()) {
        return type_error(fmt::format("{}() takes at most {} arguments ({} given)", function,
                                      names.size(), arguments.positional.size()));
    }
    for (std::size_t i = 0; i < arguments.positional.size(); ++i)
        bound[i] = std::move(arguments.positional[i]);
    for (auto& [name, value] : arguments.named) {
        const auto found = std::find(names.begin(), names.end(), name);
        if (found == names.end()) {
            return type_error(
                fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
        }
        auto& place = bound[static_cast<std::size_t>(found - names.begin())];
        if (place) {
            return type_error(
                fmt::format("{}() got multiple values for argument '{}'", function, name));
        }
        place = std::move(value);
    }
    for (std::size_t i = 0; i < n_required; ++i) {
        if (!bound[i]) {
            return type_error(fmt::format("{}() missing required argument '{}'", function,
                                          std::string_view(names.begin()[i])));
        }
    }
    return bound;
}

Error undefined_error(const Value& value) {
    const auto* undefined = value.as<Undefined>();
    if (undefined == nullptr || !undefined->what) return type_error("value is undefined");
    return type_error(*undefined->what);
}

Result<std::int64_t> to_integer(const Value& value, std::string_view what) {
    if (value.is_integer()) return value.integer();
    if (value.is_undefined()) return undefined_error(value);
    return type_error(fmt::format("{}: {}, expected an integer", what, value.type_name()));
}

Result<std::string_view> to_string_view(const Value& value, std::string_view what) {
    if (value.is_string()) return std::string_view(value.text());
    if (value.is_undefined()) return undefined_error(value);
    return type_error(fmt::format("{}: {}, expected a string", what, value.type_name()));
}

}  // namespace kvasir::jinja
