#include "daemon/template/interpreter.hpp"

#include <fmt/format.h>

namespace kvasir::jinja {

const Value* Scope::find(std::string_view name) const {
    for (const auto& [key, value] : variables) {
        if (key == name) return &value;
    }
    return nullptr;
}

void Scope::set(std::string_view name, Value value) {
    for (auto& [key, old] : variables) {
        if (key != name) continue;
        old = std::move(value);
        return;
    }
    variables.emplace_back(name, std::move(value));
}

/// The innermost line is the one that a message names.
Error Interpreter::located(Error error, std::uint32_t line) {
    if (std::exchange(located_, true)) return error;
    error.message = fmt::format("line {}: {}", line, error.message);
    return error;
}

Result<> Interpreter::enter() {
    ++depth_;
    if (depth_ > limits().walk_depth) {
        return Error{ErrorCode::too_large,
                     fmt::format("macros and expressions within each other: more than {} levels",
                                 limits().walk_depth)};
    }
    return step();
}

Result<> Interpreter::write(std::string_view text) {
    written_bytes_ += text.size();
    if (written_bytes_ > limits().output_bytes) {
        return Error{ErrorCode::too_large,
                     fmt::format("output longer than {} bytes", limits().output_bytes)};
    }
    KVASIR_TRY_VOID(work(text.size()));
    out_->append(text);
    return {};
}

Result<std::string> Interpreter::render(const Body& body, const boost::json::object& variables) {
    auto root = std::make_unique<Scope>(nullptr);
    root->captured = true;
    scope_ = root.get();
    captured_scopes_.push_back(std::move(root));
    for (const auto& pair : variables) {
        const std::string_view name(pair.key().data(), pair.key().size());
        KVASIR_TRY(Value value, make_json(pair.value()));
        scope_->set(name, std::move(value));
    }
    std::string out;
    out_ = &out;
    KVASIR_TRY_VOID(run(body));
    return out;
}

}  // namespace kvasir::jinja
