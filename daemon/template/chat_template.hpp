// Chat templates: Jinja2 as transformers runs it (ImmutableSandboxedEnvironment, trim_blocks,
// lstrip_blocks, loop controls), interpreted within limits. A template is untrusted: it can neither
// reach outside its variables nor run or grow without bound.
//
// Not as in Jinja2: integers have 64 bits; `safe` and `escape` give plain strings; an unknown
// filter or test is an error when it is reached, not before; include, import, extends and block are
// refused.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace kvasir {

struct TemplateLimits {
    std::uint64_t source_bytes = 1 << 20;
    std::uint64_t n_steps = 20'000'000;  // one an expression or statement, one a 64 bytes moved
    std::uint64_t output_bytes = 64 << 20;
    std::uint64_t string_bytes = 64 << 20;  // one string
    std::uint64_t live_bytes = 256 << 20;   // all strings, lists, dicts alive
    std::uint64_t range_items = 100'000;
    std::uint32_t call_depth = 100;   // macros within macros
    std::uint32_t walk_depth = 1500;  // statements and expressions within each other, over calls
};

struct TemplateOptions {
    TemplateLimits limits;
    bool generation_blocks = true;  // {% generation %}; plain Jinja2 does not know it
};

/// Local time of strftime_now().
struct TemplateTime {
    int year = 1970;
    int month = 1;
    int day = 1;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int microsecond = 0;

    static TemplateTime local_now();
    /// 2026-11-20T09:30:00, 2026-11-20 09:30 or 2026-11-20. Errors: invalid_argument.
    static Result<TemplateTime> parse(std::string_view iso);
};

/// Immutable once made: any thread may render.
class ChatTemplate {
public:
    /// Errors: corrupt (syntax), unsupported, too_large; the message begins with the line.
    static Result<ChatTemplate> create(std::string_view source, TemplateOptions options = {});
    ChatTemplate(ChatTemplate&&) noexcept;
    ChatTemplate& operator=(ChatTemplate&&) noexcept;
    ~ChatTemplate();

    /// The text for `variables`: messages, tools, add_generation_prompt, bos_token, ...
    /// Errors: invalid_argument (raise_exception, or what the template does with these variables
    /// fails), too_large (a limit), unsupported.
    Result<std::string> render(const boost::json::object& variables,
                               const TemplateTime& now = TemplateTime::local_now()) const;

private:
    struct Parsed;
    explicit ChatTemplate(std::unique_ptr<const Parsed> parsed);
    std::unique_ptr<const Parsed> parsed_;
};

}  // namespace kvasir
