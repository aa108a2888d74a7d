// What filters, tests, methods and functions get to work with: the budget of one rendering, the
// makers of values that it pays for, and calls back into the interpreter.
#pragma once

#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/template/chat_template.hpp"
#include "daemon/template/value.hpp"

namespace kvasir::jinja {

struct Arguments {
    Items positional;
    std::vector<std::pair<std::string, Value>> named;
};

class Runtime {
public:
    Runtime(const TemplateLimits& limits, const TemplateTime& now);
    virtual ~Runtime() = default;
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// Errors: too_large (the template has used up its steps).
    Result<> step(std::uint64_t n = 1);
    /// For work on that many bytes.
    Result<> work(std::uint64_t bytes) { return step(1 + bytes / 64); }
    /// Before bytes are allocated. Errors: too_large.
    Result<> check_string(std::uint64_t bytes) const;
    Result<> check_items(std::uint64_t n_items) const;

    Result<Value> make_string(std::string text);
    Result<Value> make_list(Items items, SequenceType type = SequenceType::list);
    Result<Value> make_dict(Pairs pairs);
    Result<Value> make_json(const boost::json::value& value, std::uint32_t depth = 0);
    template <class T, class... Args>
    Result<T*> make_object(Args&&... args) {
        KVASIR_TRY_VOID(charge_object());
        auto object = std::make_unique<T>(std::forward<Args>(args)...);
        T* made = object.get();
        objects_.push_back(std::move(object));
        return made;
    }

    /// The values, each counted as a step.
    Result<Items> iterate(const Value& value);
    /// Python's str(); what `{{ }}` prints.
    Result<std::string> to_text(const Value& value);
    Result<std::string> to_repr(const Value& value);

    virtual Result<Value> call(const Value& callee, Arguments arguments) = 0;

    const TemplateLimits& limits() const { return limits_; }
    const TemplateTime& now() const { return now_; }

private:
    Result<> charge_object();
    Result<> append_repr(std::string& out, const Value& value);

    const TemplateLimits limits_;
    const TemplateTime now_;
    std::shared_ptr<Budget> budget_;
    std::vector<std::unique_ptr<Object>> objects_;
};

/// namespace(): the one kind of value that set can change.
struct Namespace : Object {
    const char* type_name() const override { return "Namespace"; }
    std::vector<std::pair<std::string, Value>> attributes;
    Value* find(std::string_view name);
};

/// A function of the language, or of this process: raise_exception, range, ...
struct Function : Object {
    using Code = Result<Value> (*)(Runtime&, Arguments&);
    Function(const char* name_given, Code code_given) : name(name_given), code(code_given) {}
    const char* type_name() const override { return "function"; }
    bool is_callable() const override { return true; }
    const char* name;
    Code code;
};

/// `text.upper` without its call.
struct BoundMethod : Object {
    BoundMethod(Value self_given, std::string_view name_given)
        : self(std::move(self_given)), name(name_given) {}
    const char* type_name() const override { return "builtin_function_or_method"; }
    bool is_callable() const override { return true; }
    Value self;
    std::string name;
};

/// Arguments by position or name into the order of `names`; absent ones are empty. The first
/// n_required must be there. Errors: invalid_argument.
Result<std::vector<std::optional<Value>>> bind(Arguments& arguments, std::string_view function,
                                               std::initializer_list<std::string_view> names,
                                               std::size_t n_required = 0);
/// Errors: invalid_argument (not an integer).
Result<std::int64_t> to_integer(const Value& value, std::string_view what);
Result<std::string_view> to_string_view(const Value& value, std::string_view what);
/// The message of the undefined value, for whoever uses it.
Error undefined_error(const Value& value);

/// A global function by name, or null.
Object* find_global(std::string_view name);

/// Methods of strings, lists, tuples and dicts.
bool has_method(const Value& value, std::string_view name);
/// Methods that would change their list or dict: the sandbox refuses them.
bool is_unsafe_method(const Value& value, std::string_view name);
/// REQUIRES: has_method(self, name).
Result<Value> call_method(Runtime& runtime, const Value& self, std::string_view name,
                          Arguments& arguments);

/// obj.name and obj[index]; undefined where there is none.
Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name);
Result<Value> get_item(Runtime& runtime, const Value& object, const Value& index);
/// object[begin:end:step]; bounds may be none.
Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                        const Value& step);

Result<Value> call_filter(Runtime& runtime, std::string_view name, const Value& value,
                          Arguments& arguments);
Result<bool> call_test(Runtime& runtime, std::string_view name, const Value& value,
                       Arguments& arguments);
bool has_filter(std::string_view name);
bool has_test(std::string_view name);

enum class Op;
Result<Value> binary(Runtime& runtime, Op op, const Value& left, const Value& right);
Result<bool> contains(Runtime& runtime, const Value& container, const Value& value);
/// "..." % value
Result<Value> percent_format(Runtime& runtime, std::string_view pattern, const Value& value);
/// "...".format(arguments)
Result<Value> brace_format(Runtime& runtime, std::string_view pattern, Arguments& arguments);

struct JsonLayout {
    bool ascii = false;
    bool sorted = false;
    std::optional<std::string> indent;  // of one level
    std::string item_separator = ", ";
    std::string key_separator = ": ";
};
/// json.dumps(). Errors: invalid_argument (a value that JSON has no form for).
Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonLayout& layout);
/// Python's repr() of a float.
std::string real_text(double value);

}  // namespace kvasir::jinja
