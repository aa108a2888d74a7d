// SchemaReader: a schema's combinators resolved. What is left are shapes: keywords that all hold.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/grammar/json_schema.hpp"
#include "daemon/grammar/number_text.hpp"

namespace kvasir::grammar {

namespace json = boost::json;

/// Schemas that all hold for a value, in order. Empty: any value.
using Schemas = std::vector<const json::value*>;

/// The types of values, as bits.
enum TypeBit : std::uint8_t {
    kNull = 1,
    kBoolean = 2,
    kObject = 4,
    kArray = 8,
    kString = 16,
    kInteger = 32,
    kFraction = 64,  // a number that is no integer
    kNumber = kInteger | kFraction,
    kAnyType = 127,
};

/// A value has the shape where its type is one of these, it is one of the values, if any are given,
/// and every keyword of every clause that speaks of its type holds.
struct Shape {
    std::uint8_t types = kAnyType;
    std::optional<std::vector<const json::value*>> values;
    std::vector<const json::object*> clauses;
};

struct LengthLimits {
    std::uint32_t low = 0;
    std::uint32_t high = 0xffffffffU;  // kNoLimit
    bool is_any() const { return low == 0 && high == 0xffffffffU; }
};

/// What a clause's extra keywords mean for one member of an object or array.
class SchemaReader {
public:
    explicit SchemaReader(const json::value& root);

    /// A value satisfies the schemas where it has one of the shapes. Errors: an unknown or wrong
    /// keyword, a reference that leads nowhere or to itself, alternatives of oneOf that are not
    /// known to exclude each other.
    SchemaResult<std::vector<Shape>> shapes(const Schemas& schemas);

    /// Schemas of the property in an object of this shape; where `extra`, of one that no clause
    /// names.
    SchemaResult<Schemas> property(const Shape& shape, std::string_view key);
    /// Schemas of the element; index beyond every prefix: of the rest.
    Schemas element(const Shape& shape, std::size_t index) const;

    enum class Certainty {
        yes,    // formats count as they are understood here
        maybe,  // formats count as satisfied: for proofs that two shapes share no value
    };
    SchemaResult<bool> accepts(const Schemas& schemas, const json::value& value,
                               Certainty certainty, unsigned depth = 0);
    SchemaResult<bool> has_shape(const Shape& shape, const json::value& value, Certainty certainty,
                                 unsigned depth = 0);
    /// False where that is not known.
    SchemaResult<bool> are_disjoint(const Shape& a, const Shape& b, unsigned depth = 0);

    static LengthLimits limits(const Shape& shape, std::string_view low, std::string_view high);
    static NumberLimits numbers(const Shape& shape);
    /// Empty shape: any text. Patterns, and formats unless told otherwise, over code points.
    SchemaResult<std::optional<Dfa>> text(const Shape& shape, Certainty certainty);
    SchemaResult<const Dfa*> pattern(std::string_view source, const json::value* where);

    static std::size_t n_prefix(const json::object& clause);
    static const json::value* rest(const json::object& clause);
    static bool requires_key(const Shape& shape, std::string_view key);

    SchemaError wrong(const json::value* where, std::string_view keyword,
                      std::string message) const;
    SchemaError wrong(const json::object& where, std::string_view keyword,
                      std::string message) const;
    Budget& budget() { return budget_; }

private:
    SchemaResult<std::vector<Shape>> expand(const json::value& schema, std::vector<Shape> shapes);
    SchemaResult<std::vector<Shape>> expand_keywords(const json::value& schema,
                                                     std::vector<Shape> shapes);
    SchemaResult<std::vector<Shape>> expand_any(const json::value& schema, std::string_view keyword,
                                                const std::vector<Shape>& shapes);
    SchemaResult<bool> check(const json::value& schema);
    void name_children(const json::value& schema, const std::string& path);
    SchemaResult<const json::value*> resolve(const json::value& schema);
    SchemaResult<bool> strings_disjoint(const Shape& a, const Shape& b);
    SchemaResult<bool> objects_disjoint(const Shape& a, const Shape& b, unsigned depth);

    const json::value& root_;
    Budget budget_;
    std::unordered_map<const json::value*, std::string> paths_;  // of schemas met so far
    std::unordered_map<const json::object*, const json::value*> owners_;
    std::vector<const json::value*> open_;  // references being followed
    std::map<std::string, Dfa, std::less<>> patterns_;
};

/// Errors: the first keyword whose value has the wrong type or that would change what is valid and
/// is not supported. Looks at this schema alone, not at those in it.
struct KeywordProblem {
    std::string keyword;
    std::string message;
};
std::optional<KeywordProblem> find_keyword_problem(const json::object& schema);

bool is_number_format(std::string_view name);
double to_double(const json::value& number);
std::string_view to_view(const json::value& string);
/// Types as JSON Schema counts: 1.0 is an integer.
TypeBit type_of(const json::value& value);
/// Equal as JSON Schema counts: 1 is 1.0.
bool is_equal(const json::value& a, const json::value& b);

}  // namespace kvasir::grammar
