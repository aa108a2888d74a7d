// The two things that a block may put around its statements: variables of its own, and a buffer
// that catches its text.
#pragma once

#include "daemon/template/interpreter.hpp"

namespace kvasir::jinja {

/// Variables of a block. A scope that a macro was defined in lives on until the rendering ends.
class Interpreter::Inner {
public:
    Inner(Interpreter& interpreter, Scope* parent)
        : interpreter_(interpreter),
          outer_(interpreter.scope_),
          scope_(std::make_unique<Scope>(parent)) {
        interpreter_.scope_ = scope_.get();
    }
    explicit Inner(Interpreter& interpreter) : Inner(interpreter, interpreter.scope_) {}
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;
    ~Inner() {
        interpreter_.scope_ = outer_;
        keep();
    }
    /// Empty again, for the next round of a loop.
    void renew() {
        if (scope_->captured) {
            Scope* parent = scope_->parent;
            keep();
            scope_ = std::make_unique<Scope>(parent);
            interpreter_.scope_ = scope_.get();
        }
        scope_->variables.clear();
    }

private:
    void keep() {
        if (scope_->captured) interpreter_.captured_scopes_.push_back(std::move(scope_));
    }
    Interpreter& interpreter_;
    Scope* outer_;
    std::unique_ptr<Scope> scope_;
};

/// Text written while it lives goes into `text`.
class Interpreter::Capture {
public:
    explicit Capture(Interpreter& interpreter)
        : interpreter_(interpreter),
          outer_(interpreter.out_),
          written_before_(interpreter.written_bytes_) {
        interpreter_.out_ = &text;
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    ~Capture() {
        interpreter_.out_ = outer_;
        interpreter_.written_bytes_ = written_before_;
    }
    std::string text;

private:
    Interpreter& interpreter_;
    std::string* outer_;
    std::uint64_t written_before_;
};

}  // namespace kvasir::jinja
