#include "daemon/http/call_scanner.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

namespace kvasir {

namespace {

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// What a quoted JSON string says; empty where it is none.
std::string unquoted(const std::string& quoted) {
    boost::system::error_code failed;
    const boost::json::value value = boost::json::parse(quoted, failed);
    if (failed || !value.is_string()) return {};
    return {value.get_string().data(), value.get_string().size()};
}

bool names_arguments(const std::string& key) {
    return key == "arguments" || key == "parameters";
}

}  // namespace

CallScanner::State CallScanner::push(char c) {
    constexpr std::size_t kMostDepth = 64;
    constexpr std::size_t kMostName = 256;
    const bool takes_arguments = depth_ >= 1 && at_ == At::value && names_arguments(key_);
    if (in_string_) {
        if (takes_arguments) arguments_ += c;
        if (depth_ == 1 && !takes_arguments) token_ += c;
        if (is_escaped_) {
            is_escaped_ = false;
        } else if (c == '\\') {
            is_escaped_ = true;
        } else if (c == '"') {
            in_string_ = false;
            if (depth_ == 1) end_string();
        }
    } else {
        push_structure(c);
    }
    if (depth_ > kMostDepth || token_.size() > kMostName) state_ = State::broken;
    return state_;
}

void CallScanner::push_structure(char c) {
    const bool is_value = at_ == At::value && depth_ >= 1;
    const bool takes_arguments = is_value && names_arguments(key_);
    if (depth_ == 0) {
        if (is_space(c)) return;
        if (c != '{') {
            state_ = State::broken;
            return;
        }
        depth_ = 1;
        at_ = At::key;
        return;
    }
    if (depth_ == 1 && (c == ',' || c == '}')) {
        if (at_ != At::after_value && at_ != At::value && !(at_ == At::key && c == '}')) {
            state_ = State::broken;
            return;
        }
        at_ = At::key;
        key_.clear();
        if (c == '}') end_object();
        return;
    }
    if (depth_ == 1 && c == ':') {
        if (at_ != At::colon) state_ = State::broken;
        at_ = At::value;
        return;
    }
    if (c == '"') {
        begin_string();
        return;
    }
    if (is_space(c) && (depth_ == 1 || !takes_arguments)) return;
    if (at_ != At::value) {  // between keys and values nothing else stands
        state_ = State::broken;
        return;
    }
    if (takes_arguments) {
        arguments_ += c;
        had_arguments_ = true;
    }
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') {
        --depth_;
        if (depth_ == 1) at_ = At::after_value;
    }
}

void CallScanner::begin_string() {
    in_string_ = true;
    if (at_ == At::key && depth_ == 1) {
        token_ = '"';
    } else if (at_ != At::value) {
        state_ = State::broken;
    } else if (names_arguments(key_)) {
        if (depth_ == 1) is_text_ = true;
        arguments_ += '"';
        had_arguments_ = true;
    } else if (depth_ == 1) {
        token_ = '"';
    }
}

/// Of the outermost object.
void CallScanner::end_string() {
    if (at_ == At::key) {
        key_ = unquoted(token_);
        at_ = At::colon;
    } else {
        if (key_ == "name") name_ = unquoted(token_);
        at_ = At::after_value;
    }
    token_.clear();
}

void CallScanner::end_object() {
    depth_ = 0;
    if (is_text_) {
        arguments_ = unquoted(arguments_);
        is_text_ = false;
        had_arguments_ = !arguments_.empty();
    }
    if (!had_arguments_ || arguments_ == "null") arguments_ = "{}";
    state_ = name_.empty() ? State::broken : State::complete;
}

std::string CallScanner::take_arguments() {
    if (name_.empty() || is_text_) return {};
    return std::exchange(arguments_, {});
}

}  // namespace kvasir
