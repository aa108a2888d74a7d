// CallScanner: one function call as models write it, a JSON object that comes in pieces.
#pragma once

#include <cstddef>
#include <string>

namespace kvasir {

/// Reads `{"name": "...", "arguments": {...}}`, in any order of keys; "parameters" stands for
/// "arguments". What the arguments say is passed on as it is written, from when the name is known.
/// Not a JSON checker: whatever nests and quotes like JSON is read.
class CallScanner {
public:
    enum class State {
        reading,
        complete,  // the object has ended and had a name
        broken,    // it is none, or has no name
    };

    /// REQUIRES: state is reading.
    State push(char c);
    State state() const { return state_; }
    bool has_name() const { return !name_.empty(); }
    const std::string& name() const { return name_; }
    /// Nothing of the object has come.
    bool is_before() const { return state_ == State::reading && depth_ == 0; }
    /// What comes next is another key, or the object's end.
    bool is_after_value() const {
        return state_ == State::reading && depth_ == 1 && at_ == At::after_value;
    }
    /// The arguments' text that came since the last call; all of it together is an object. Nothing
    /// before the name is known.
    std::string take_arguments();

private:
    enum class At { before, key, colon, value, after_value };

    void push_structure(char c);
    void begin_string();
    void end_string();
    void end_object();

    State state_ = State::reading;
    At at_ = At::before;
    std::size_t depth_ = 0;
    bool in_string_ = false;
    bool is_escaped_ = false;
    std::string token_;  // of the outermost object: the key that is read, or the name's text
    std::string key_;
    std::string name_;
    std::string arguments_;  // not yet taken
    bool had_arguments_ = false;
    bool is_text_ = false;  // arguments written as a string of JSON
};

}  // namespace kvasir
