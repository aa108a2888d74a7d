// SchemaCompiler: shapes of values become parts of a grammar. Included by its .cpp files alone.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "daemon/grammar/json_grammar.hpp"
#include "daemon/grammar/schema_reader.hpp"

namespace kvasir::grammar {

class SchemaCompiler {
public:
    explicit SchemaCompiler(const json::value& schema) : schema_(schema), reader_(schema) {}

    SchemaResult<std::shared_ptr<const Grammar>> run();

private:
    /// A kind of member that no `properties` names.
    struct Extra {
        NodeId key{};
        NodeId value{};
    };
    struct Member {
        std::string_view key;
        NodeId text{};  // key, colon and value
        bool is_required = false;
    };

    /// The rule for values that satisfy these; its body may follow later.
    SchemaResult<NodeId> values_of(const Schemas& schemas);
    SchemaResult<NodeId> shape(const Shape& shape);
    SchemaResult<NodeId> listed(const Shape& shape);
    SchemaResult<NodeId> string(const Shape& shape);
    SchemaResult<NodeId> number(const Shape& shape);
    SchemaResult<NodeId> array(const Shape& shape);
    SchemaResult<NodeId> object(const Shape& shape);

    SchemaResult<std::vector<Member>> members(const Shape& shape);
    SchemaResult<std::vector<Extra>> extras(const Shape& shape, const std::vector<Member>& named);
    SchemaResult<NodeId> key_of(const Dfa& keys, const Shape& shape);
    NodeId extra_tail(const std::vector<Extra>& extras, std::uint32_t n_before,
                      const LengthLimits& limits);
    NodeId members_from(const std::vector<Member>& named, const std::vector<Extra>& extras,
                        const LengthLimits& limits);

    const json::value& schema_;
    SchemaReader reader_;
    GrammarBuilder builder_;
    JsonGrammar json_{builder_};
    std::map<Schemas, NodeId> rules_;
    std::deque<std::pair<Schemas, NodeId>> pending_;
};

}  // namespace kvasir::grammar
