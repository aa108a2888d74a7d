// kvasir: the shell client of kvasird.
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <span>
#include <utility>

#include "daemon/kvasir/command_table.hpp"
#include "daemon/kvasir/commands.hpp"

namespace kvasir::client {
namespace {

ExitCode execute(Context& context) {
    switch (context.options.command) {
        case Command::run: return run_completion(context);
        case Command::chat: return run_chat(context);
        case Command::health: return show_health(context);
        case Command::models: return show_models(context);
        case Command::metrics: return show_metrics(context);
        case Command::tokenize: return show_tokens(context);
        case Command::ps: return show_sessions(context);
        case Command::end: return end_session(context);
        case Command::save: return save_session(context);
        case Command::restore: return restore_session(context);
        case Command::prefix_list: return show_prefixes(context);
        case Command::prefix_add: return add_prefix(context);
        case Command::prefix_rm: return remove_prefix(context);
        case Command::cache: return show_cache(context);
        case Command::top: return run_top(context);
        case Command::completions: return print_completions(context);
    }
    return ExitCode::usage;
}

ExitCode start(std::span<const char* const> arguments) {
    Interrupts interrupts;
    Context context{{}, Output(1), Output(2), interrupts};
    auto options = parse_options(arguments);
    if (options.has_error()) {
        print_error(context, options.error().message);
        return ExitCode::usage;
    }
    context.options = std::move(*options);
    if (context.options.help || context.options.version) {
        (void)context.out.write(context.options.help ? help_text() : "kvasir " KVASIR_VERSION "\n");
        return output_status(context);
    }
    return execute(context);
}

}  // namespace
}  // namespace kvasir::client

int main(int argc, char** argv) {
    // libedit decodes what is typed; a bare system without a locale has UTF-8 terminals all the
    // same.
    std::setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    const std::span<const char* const> all(argv, static_cast<std::size_t>(argc));
    try {
        return static_cast<int>(kvasir::client::start(all.subspan(argc > 0 ? 1 : 0)));
    } catch (const std::bad_alloc&) {
        std::fputs("kvasir: out of memory\n", stderr);
        return static_cast<int>(kvasir::client::ExitCode::failed);
    }
}
