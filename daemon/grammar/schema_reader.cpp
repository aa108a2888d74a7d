#include "daemon/grammar/schema_reader.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <fmt/format.h>
#include <iterator>

namespace kvasir::grammar {

namespace {

constexpr std::size_t kMaxShapes = 256;
constexpr std::size_t kMaxReferences = 64;  // that lead to one another

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 7> kTypes{{{"null", kNull},
                                                                           {"boolean", kBoolean},
                                                                           {"object", kObject},
                                                                           {"array", kArray},
                                                                           {"string", kString},
                                                                           {"integer", kInteger},
                                                                           {"number", kNumber}}};

std::uint8_t type_bits(const json::value& name) {
    return std::ranges::find(kTypes, to_view(name), &decltype(kTypes)::value_type::first)->second;
}

void keep_values(Shape& shape, const std::vector<const json::value*>& allowed) {
    if (!shape.values) {
        shape.values = allowed;
        return;
    }
    std::erase_if(*shape.values, [&](const json::value* value) {
        return std::ranges::none_of(
            allowed, [&](const json::value* other) { return is_equal(*value, *other); });
    });
}

void restrict(Shape& shape, const json::object& schema) {
    if (const json::value* type = schema.if_contains("type")) {
        std::uint8_t bits = 0;
        if (type->is_string()) bits = type_bits(*type);
        if (type->is_array()) {
            for (const json::value& one : type->get_array())
                bits = static_cast<std::uint8_t>(bits | type_bits(one));
        }
        shape.types = static_cast<std::uint8_t>(shape.types & bits);
    }
    if (const json::value* one = schema.if_contains("const")) keep_values(shape, {one});
    if (const json::value* list = schema.if_contains("enum")) {
        std::vector<const json::value*> allowed;
        for (const json::value& one : list->get_array()) allowed.push_back(&one);
        keep_values(shape, allowed);
    }
    shape.clauses.push_back(&schema);
}

std::optional<std::string> decode_pointer_part(std::string_view part) {
    std::string out;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] == '%') {
            unsigned value = 0;
            const char* const begin = part.data() + i + 1;
            if (i + 2 >= part.size() ||
                std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2)
                return std::nullopt;
            out += static_cast<char>(value);
            i += 2;
        } else {
            out += part[i];
        }
    }
    std::string plain;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (out[i] != '~') {
            plain += out[i];
        } else if (++i < out.size() && (out[i] == '0' || out[i] == '1')) {
            plain += out[i] == '0' ? '~' : '/';
        } else {
            return std::nullopt;
        }
    }
    return plain;
}

std::string join(const std::string& path, std::string_view part) {
    if (path.empty() || part.empty()) return path.empty() ? std::string(part) : path;
    return fmt::format("{}.{}", path, part);
}

}  // namespace

SchemaReader::SchemaReader(const json::value& root) : root_(root) {
    paths_.emplace(&root, "");
}

SchemaError SchemaReader::wrong(const json::value* where, std::string_view keyword,
                                std::string message) const {
    const auto found = paths_.find(where);
    return {join(found == paths_.end() ? std::string() : found->second, keyword),
            std::move(message)};
}

SchemaError SchemaReader::wrong(const json::object& where, std::string_view keyword,
                                std::string message) const {
    const auto owner = owners_.find(&where);
    return wrong(owner == owners_.end() ? nullptr : owner->second, keyword, std::move(message));
}

/// Gives a path to every schema directly inside.
void SchemaReader::name_children(const json::value& schema, const std::string& path) {
    for (const auto& entry : schema.get_object()) {
        const std::string_view keyword(entry.key().data(), entry.key().size());
        const std::string inner = join(path, keyword);
        const json::value& value = entry.value();
        paths_.emplace(&value, inner);
        if (value.is_array()) {
            for (std::size_t i = 0; i < value.get_array().size(); ++i)
                paths_.emplace(&value.get_array()[i], fmt::format("{}[{}]", inner, i));
        } else if (value.is_object()) {
            for (const auto& named : value.get_object())
                paths_.emplace(&named.value(),
                               join(inner, {named.key().data(), named.key().size()}));
        }
    }
}

SchemaResult<bool> SchemaReader::check(const json::value& schema) {
    const json::object& object = schema.get_object();
    if (owners_.contains(&object)) return true;
    if (const auto problem = find_keyword_problem(object))
        return wrong(&schema, problem->keyword, problem->message);
    owners_.emplace(&object, &schema);
    name_children(schema, paths_[&schema]);
    return true;
}

SchemaResult<const json::value*> SchemaReader::resolve(const json::value& schema) {
    const std::string_view reference = to_view(schema.get_object().at("$ref"));
    const auto refuse = [&](const char* what) {
        return wrong(&schema, "$ref", fmt::format("\"{}\": {}", reference.substr(0, 128), what));
    };
    if (!reference.starts_with('#'))
        return refuse("not supported by this server, expected a reference into the schema");
    std::string_view rest = reference.substr(1);
    if (!rest.empty() && rest[0] != '/') return refuse("expected # or #/...");
    const json::value* at = &root_;
    std::string path;
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const std::size_t end = std::min(rest.find('/'), rest.size());
        const auto part = decode_pointer_part(rest.substr(0, end));
        rest.remove_prefix(end);
        if (!part) return refuse("not a JSON pointer");
        const json::value* next = nullptr;
        if (at->is_object()) {
            next = at->get_object().if_contains(*part);
        } else if (at->is_array()) {
            std::size_t index = 0;
            const auto [stop, ec] =
                std::from_chars(part->data(), part->data() + part->size(), index);
            if (ec == std::errc{} && stop == part->data() + part->size() &&
                index < at->get_array().size())
                next = &at->get_array()[index];
        }
        if (next == nullptr) return refuse("leads nowhere");
        path = join(path, *part);
        at = next;
    }
    if (!at->is_object() && !at->is_bool()) return refuse("leads to no schema");
    paths_.emplace(at, path);
    return at;
}

SchemaResult<std::vector<Shape>> SchemaReader::expand(const json::value& schema,
                                                      std::vector<Shape> shapes) {
    if (schema.is_bool()) return schema.get_bool() ? std::move(shapes) : std::vector<Shape>();
    KVASIR_TRY([[maybe_unused]] const bool fine, check(schema));
    if (auto spent = budget_.spend(16 + 16 * shapes.size()); spent.has_error())
        return wrong(&schema, "", spent.error().message);
    if (std::ranges::find(open_, &schema) != open_.end())
        return wrong(&schema, "", "refers to itself before anything is read");
    if (open_.size() == kMaxReferences)
        return wrong(&schema, "", "too many references that lead to one another");
    open_.push_back(&schema);
    auto expanded = expand_keywords(schema, std::move(shapes));
    open_.pop_back();
    return expanded;
}

SchemaResult<std::vector<Shape>> SchemaReader::expand_keywords(const json::value& schema,
                                                               std::vector<Shape> shapes) {
    const json::object& object = schema.get_object();
    for (Shape& shape : shapes) restrict(shape, object);
    std::erase_if(shapes, [](const Shape& shape) {
        return shape.types == 0 || (shape.values && shape.values->empty());
    });
    if (object.contains("$ref")) {
        KVASIR_TRY(const json::value* const target, resolve(schema));
        KVASIR_TRY(shapes, expand(*target, std::move(shapes)));
    }
    if (const json::value* all = object.if_contains("allOf")) {
        for (const json::value& one : all->get_array()) {
            KVASIR_TRY(shapes, expand(one, std::move(shapes)));
        }
    }
    for (const std::string_view keyword : {"anyOf", "oneOf"}) {
        if (!object.contains(keyword)) continue;
        KVASIR_TRY(shapes, expand_any(schema, keyword, shapes));
    }
    return shapes;
}

SchemaResult<std::vector<Shape>> SchemaReader::expand_any(const json::value& schema,
                                                          std::string_view keyword,
                                                          const std::vector<Shape>& shapes) {
    std::vector<std::vector<Shape>> branches;
    std::size_t n = 0;
    for (const json::value& one : schema.get_object().at(keyword).get_array()) {
        KVASIR_TRY(std::vector<Shape> branch, expand(one, shapes));
        n += branch.size();
        if (n > kMaxShapes)
            return wrong(&schema, keyword,
                         fmt::format("more than {} combinations of alternatives", kMaxShapes));
        branches.push_back(std::move(branch));
    }
    std::vector<Shape> all;
    for (std::size_t i = 0; i < branches.size(); ++i) {
        for (std::size_t k = 0; k < i && keyword == "oneOf"; ++k) {
            for (const Shape& a : branches[k]) {
                for (const Shape& b : branches[i]) {
                    KVASIR_TRY(const bool disjoint, are_disjoint(a, b));
                    if (disjoint) continue;
                    return wrong(&schema, keyword,
                                 fmt::format("alternatives {} and {} are not known to exclude each "
                                             "other, expected anyOf or a property that tells them "
                                             "apart",
                                             k, i));
                }
            }
        }
    }
    for (std::vector<Shape>& branch : branches)
        std::move(branch.begin(), branch.end(), std::back_inserter(all));
    return all;
}

SchemaResult<std::vector<Shape>> SchemaReader::shapes(const Schemas& schemas) {
    std::vector<Shape> shapes(1);
    for (const json::value* schema : schemas) {
        KVASIR_TRY(shapes, expand(*schema, std::move(shapes)));
    }
    return shapes;
}

}  // namespace kvasir::grammar
