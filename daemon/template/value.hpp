// Values of the template language: what Jinja2 would hold as Python objects, as far as templates
// can tell. Strings, sequences and dicts are immutable and shared; namespaces, macros and loops
// live as long as one rendering and are owned by it, so no cycle can leak.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::jinja {

/// What one rendering may still use. Strings and containers take from it while they live.
struct Budget {
    std::uint64_t n_steps_left = 0;
    std::uint64_t bytes_left = 0;    // of strings, containers and objects alive
    std::uint64_t string_bytes = 0;  // longest string
};

/// Gives its bytes back to the budget when it dies; constants of a template have no budget.
class Charge {
public:
    Charge() = default;
    Charge(std::shared_ptr<Budget> budget, std::uint64_t bytes);
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    ~Charge();

private:
    std::shared_ptr<Budget> budget_;
    std::uint64_t bytes_ = 0;
};

struct StringObject {
    StringObject(std::string given, std::shared_ptr<Budget> budget);
    std::string text;
    std::uint64_t n_points;  // code points; == text.size() for ASCII
    Charge charge;
};

class Value;
using Items = std::vector<Value>;
using Pairs = std::vector<std::pair<Value, Value>>;

/// A view is what dict.items() gives; an iterator (map, select, reverse) can be read once, has no
/// length and is always true.
enum class SequenceType { list, tuple, range, view, iterator };

struct SequenceObject {
    SequenceObject(Items given, SequenceType type_given, std::shared_ptr<Budget> budget);
    Items items;
    SequenceType type;
    std::uint32_t depth;  // of nested containers, 1 for a flat one
    mutable bool consumed = false;
    Charge charge;
};

struct DictObject {
    DictObject(Pairs given, std::shared_ptr<Budget> budget);
    const Value* find(std::string_view key) const;
    const Value* find(const Value& key) const;
    Pairs pairs;  // keys are unique, in order of insertion
    std::uint32_t depth;
    std::unordered_map<std::string_view, std::uint32_t> index;  // only of large dicts, by string
    Charge charge;
};

/// Namespaces, macros, loops, functions. Owned by the rendering.
struct Object {
    virtual ~Object() = default;
    virtual const char* type_name() const = 0;
    virtual bool is_callable() const { return false; }
};

struct Undefined {
    std::shared_ptr<const std::string> what;  // null: no name is known
};
struct None {};
using String = std::shared_ptr<const StringObject>;
using Sequence = std::shared_ptr<const SequenceObject>;
using Dict = std::shared_ptr<const DictObject>;

class Value {
public:
    Value() : data_(Undefined{}) {}
    Value(Undefined undefined) : data_(std::move(undefined)) {}
    Value(None none) : data_(none) {}
    Value(bool boolean) : data_(boolean) {}
    Value(const char*) = delete;  // would be a bool
    Value(std::int64_t integer) : data_(integer) {}
    Value(double real) : data_(real) {}
    Value(String string) : data_(std::move(string)) {}
    Value(Sequence sequence) : data_(std::move(sequence)) {}
    Value(Dict dict) : data_(std::move(dict)) {}
    Value(Object* object) : data_(object) {}

    template <class T>
    const T* as() const {
        return std::get_if<T>(&data_);
    }
    template <class T>
    bool is() const {
        return std::holds_alternative<T>(data_);
    }

    bool is_undefined() const { return is<Undefined>(); }
    bool is_none() const { return is<None>(); }
    bool is_string() const { return is<String>(); }
    bool is_dict() const { return is<Dict>(); }
    bool is_bool() const { return is<bool>(); }
    /// Integers and booleans, as Python counts them.
    bool is_integer() const { return is<std::int64_t>() || is<bool>(); }
    bool is_number() const { return is_integer() || is<double>(); }
    bool is_sequence(SequenceType type) const {
        return is<Sequence>() && (*as<Sequence>())->type == type;
    }

    /// REQUIRES: is_string().
    const std::string& text() const { return (*as<String>())->text; }
    /// REQUIRES: is<Sequence>().
    const Items& items() const { return (*as<Sequence>())->items; }
    /// REQUIRES: is_dict().
    const DictObject& dict() const { return **as<Dict>(); }
    /// REQUIRES: is_integer().
    std::int64_t integer() const { return is<bool>() ? *as<bool>() : *as<std::int64_t>(); }
    /// REQUIRES: is_number().
    double real() const { return is<double>() ? *as<double>() : static_cast<double>(integer()); }
    Object* object() const { return is<Object*>() ? *as<Object*>() : nullptr; }

    /// Python's name of the type: str, int, dict, ...
    const char* type_name() const;
    /// Containers count; 0 for the rest.
    std::uint32_t depth() const;

private:
    std::variant<Undefined, None, bool, std::int64_t, double, String, Sequence, Dict, Object*>
        data_;
};

/// Deepest nesting of lists and dicts; printing and comparing recurse that far.
constexpr std::uint32_t kMaxValueDepth = 100;

bool is_true(const Value& value);
/// Python's ==.
bool equals(const Value& a, const Value& b);
/// Whether a is less than b. Errors: invalid_argument (types that have no order).
Result<bool> less(const Value& a, const Value& b, std::string_view op = "<");
/// A constant that no budget pays for.
Value make_constant(std::string text);
Value make_undefined(std::string what);
/// The values as an iteration gives them. Errors: invalid_argument (not iterable).
Result<Items> iterate(const Value& value);
/// Whether `for` accepts it.
bool is_iterable(const Value& value);
/// Whether it may be a key of a dict.
bool is_hashable(const Value& value);

Error type_error(std::string message);

}  // namespace kvasir::jinja
