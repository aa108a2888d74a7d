#include "daemon/template/value.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "daemon/template/unicode.hpp"

namespace kvasir::jinja {

Charge::Charge(std::shared_ptr<Budget> budget, std::uint64_t bytes) : budget_(std::move(budget)) {
    if (!budget_) return;
    bytes_ = std::min(bytes, budget_->bytes_left);  // the allocator of the rendering refused more
    budget_->bytes_left -= bytes_;
}

Charge::~Charge() {
    if (budget_) budget_->bytes_left += bytes_;
}

StringObject::StringObject(std::string given, std::shared_ptr<Budget> budget)
    : text(std::move(given)),
      n_points(count_points(text)),
      charge(std::move(budget), text.capacity() + sizeof(StringObject)) {}

namespace {

std::uint32_t deepest(const Items& items) {
    std::uint32_t depth = 0;
    for (const Value& item : items) depth = std::max(depth, item.depth());
    return depth + 1;
}

std::uint32_t deepest(const Pairs& pairs) {
    std::uint32_t depth = 0;
    for (const auto& [key, value] : pairs) depth = std::max({depth, key.depth(), value.depth()});
    return depth + 1;
}

constexpr std::size_t kIndexedFrom = 8;

}  // namespace

SequenceObject::SequenceObject(Items given, SequenceType type_given, std::shared_ptr<Budget> budget)
    : items(std::move(given)),
      type(type_given),
      depth(deepest(items)),
      charge(std::move(budget), items.capacity() * sizeof(Value) + sizeof(SequenceObject)) {}

DictObject::DictObject(Pairs given, std::shared_ptr<Budget> budget)
    : pairs(std::move(given)),
      depth(deepest(pairs)),
      charge(std::move(budget),
             pairs.capacity() * 2 * (sizeof(Value) + sizeof(std::string_view) + 16) +
                 sizeof(DictObject)) {
    if (pairs.size() < kIndexedFrom) return;
    for (std::uint32_t i = 0; i < pairs.size(); ++i) {
        if (pairs[i].first.is_string()) index.emplace(pairs[i].first.text(), i);
    }
}

const Value* DictObject::find(std::string_view key) const {
    if (pairs.size() >= kIndexedFrom) {
        const auto found = index.find(key);
        return found == index.end() ? nullptr : &pairs[found->second].second;
    }
    for (const auto& [name, value] : pairs) {
        if (name.is_string() && name.text() == key) return &value;
    }
    return nullptr;
}

const Value* DictObject::find(const Value& key) const {
    if (key.is_string()) return find(std::string_view(key.text()));
    for (const auto& [name, value] : pairs) {
        if (equals(name, key)) return &value;
    }
    return nullptr;
}

const char* Value::type_name() const {
    struct Names {
        const char* operator()(const Undefined&) const { return "Undefined"; }
        const char* operator()(None) const { return "NoneType"; }
        const char* operator()(bool) const { return "bool"; }
        const char* operator()(std::int64_t) const { return "int"; }
        const char* operator()(double) const { return "float"; }
        const char* operator()(const String&) const { return "str"; }
        const char* operator()(const Sequence& s) const {
            switch (s->type) {
                case SequenceType::list: return "list";
                case SequenceType::tuple: return "tuple";
                case SequenceType::range: return "range";
                case SequenceType::view: return "dict_items";
                case SequenceType::iterator: return "generator";
            }
            return "list";
        }
        const char* operator()(const Dict&) const { return "dict"; }
        const char* operator()(const Object* object) const { return object->type_name(); }
    };
    return std::visit(Names{}, data_);
}

std::uint32_t Value::depth() const {
    if (const auto* sequence = as<Sequence>()) return (*sequence)->depth;
    if (const auto* dict_value = as<Dict>()) return (*dict_value)->depth;
    return 0;
}

bool is_true(const Value& value) {
    if (value.is_undefined() || value.is_none()) return false;
    if (value.is_integer()) return value.integer() != 0;
    if (value.is<double>()) return value.real() != 0;
    if (value.is_string()) return !value.text().empty();
    if (value.is_sequence(SequenceType::iterator)) return true;
    if (value.is<Sequence>()) return !value.items().empty();
    if (value.is_dict()) return !value.dict().pairs.empty();
    return true;
}

namespace {

bool equal_dicts(const DictObject& a, const DictObject& b) {
    if (a.pairs.size() != b.pairs.size()) return false;
    return std::all_of(a.pairs.begin(), a.pairs.end(), [&](const auto& pair) {
        const Value* other = b.find(pair.first);
        return other != nullptr && equals(pair.second, *other);
    });
}

}  // namespace

bool equals(const Value& a, const Value& b) {
    if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
    if (a.is_number() && b.is_number()) return a.real() == b.real();
    if (a.is_string() && b.is_string()) return a.text() == b.text();
    if (a.is_none() || a.is_undefined()) return a.is_none() ? b.is_none() : b.is_undefined();
    if (a.is<Sequence>() && b.is<Sequence>()) {
        const SequenceObject &x = **a.as<Sequence>(), &y = **b.as<Sequence>();
        if (&x == &y) return true;
        if (x.type != y.type || x.type == SequenceType::iterator) return false;
        return std::equal(x.items.begin(), x.items.end(), y.items.begin(), y.items.end(), equals);
    }
    if (a.is_dict() && b.is_dict()) return equal_dicts(a.dict(), b.dict());
    return a.object() != nullptr && a.object() == b.object();
}

Error type_error(std::string message) {
    return {ErrorCode::invalid_argument, std::move(message)};
}

Result<bool> less(const Value& a, const Value& b, std::string_view op) {
    if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
    if (a.is_number() && b.is_number()) return a.real() < b.real();
    // Bytes of UTF-8 compare as their code points do.
    if (a.is_string() && b.is_string()) return a.text() < b.text();
    const bool both = a.is<Sequence>() && b.is<Sequence>();
    if (both && (*a.as<Sequence>())->type == (*b.as<Sequence>())->type) {
        const Items &x = a.items(), &y = b.items();
        for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
            if (!equals(x[i], y[i])) return less(x[i], y[i], op);
        }
        return x.size() < y.size();
    }
    for (const Value* value : {&a, &b}) {
        if (const auto* undefined = value->as<Undefined>(); undefined && undefined->what)
            return type_error(*undefined->what);
    }
    return type_error(fmt::format("'{}' not supported between instances of '{}' and '{}'", op,
                                  a.type_name(), b.type_name()));
}

Value make_constant(std::string text) {
    return String(std::make_shared<StringObject>(std::move(text), nullptr));
}

Value make_undefined(std::string what) {
    return Undefined{std::make_shared<const std::string>(std::move(what))};
}

bool is_iterable(const Value& value) {
    return value.is_undefined() || value.is_string() || value.is<Sequence>() || value.is_dict();
}

Result<Items> iterate(const Value& value) {
    if (value.is_undefined()) return Items{};
    if (const auto* sequence = value.as<Sequence>()) {
        if ((*sequence)->type == SequenceType::iterator &&
            std::exchange((*sequence)->consumed, true))
            return Items{};
        return (*sequence)->items;
    }
    Items items;
    if (value.is_dict()) {
        items.reserve(value.dict().pairs.size());
        for (const auto& pair : value.dict().pairs) items.push_back(pair.first);
        return items;
    }
    if (!value.is_string())
        return type_error(fmt::format("'{}' object is not iterable", value.type_name()));
    const std::string_view text = value.text();
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t n_bytes = point_bytes(text, at);
        items.push_back(make_constant(std::string(text.substr(at, n_bytes))));
        at += n_bytes;
    }
    return items;
}

bool is_hashable(const Value& value) {
    if (value.is_dict()) return false;
    if (!value.is<Sequence>()) return true;
    if ((*value.as<Sequence>())->type != SequenceType::tuple) return false;
    const Items& items = value.items();
    return std::all_of(items.begin(), items.end(), is_hashable);
}

}  // namespace kvasir::jinja
