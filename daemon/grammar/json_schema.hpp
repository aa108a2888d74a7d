// JSON Schema as a grammar of the texts that satisfy it.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/system/result.hpp>
#include <memory>
#include <string>

#include "config/base/error.hpp"
#include "daemon/grammar/grammar.hpp"

namespace kvasir::grammar {

struct SchemaError {
    std::string path;  // e.g. "properties.name.pattern"; empty: the schema itself
    std::string message;
};

/// As for Error: only tests call value().
[[noreturn]] inline void throw_exception_from_error(const SchemaError& error,
                                                    const boost::source_location& location) {
    kvasir::throw_exception_from_error(
        Error{ErrorCode::invalid_argument, error.path + ": " + error.message}, location);
}

template <class T>
using SchemaResult = boost::system::result<T, SchemaError>;

/// Every text is one JSON value that the schema accepts, under draft-07's and 2020-12's meaning of
/// its keywords; not every value that it accepts can be written. What narrows it:
///   - properties come in the order of the schema; where `properties` stands without
///     `additionalProperties` there are no others
///   - numbers have 15 digits at most, formats are subsets in places
/// A keyword that would change what is valid and that is not known is an error, never ignored.
SchemaResult<std::shared_ptr<const Grammar>> compile_schema(const boost::json::value& schema);

}  // namespace kvasir::grammar
