// kvasird: settings, then the socket, then the model; serves until a signal.
// Exit status: 0 stopped or checked, 1 a failure while running, 2 a wrong command line or
// configuration, 3 no usable model or device.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <utility>

#include "config/base/log.hpp"
#include "config/settings.hpp"
#include "daemon/engine/engine.hpp"
#include "daemon/http/http_server.hpp"
#include "daemon/http/loading_engine.hpp"
#include "daemon/kvasird_options.hpp"
#include "daemon/kvasird_prefixes.hpp"
#include <systemd/sd-daemon.h>

namespace kvasir {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

enum Exit { exit_ok = 0, exit_failure = 1, exit_usage = 2, exit_no_model = 3 };

constexpr milliseconds kTick{200};
constexpr std::chrono::minutes kStuck{
    5};  // a step that takes longer has hung: the watchdog may act

int complain(Exit code, const Error& error) {
    log_error("kvasird stops", {{"reason", error.message}, {"exit", static_cast<int>(code)}});
    return code;
}

// ---- signals and systemd ----

/// SIGTERM, SIGINT and SIGHUP are only ever taken by wait_for_signal: they must be blocked before a
/// thread starts.
class StopSignals {
public:
    StopSignals() {
        sigemptyset(&set_);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
            struct sigaction action {};
            sigaction(signal, nullptr, &action);
            if (action.sa_handler != SIG_IGN) sigaddset(&set_, signal);  // nohup stays nohup
        }
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);  // a file that may grow no more is an error like a full disk
    }
    bool wait(milliseconds timeout) const {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
        const timespec time{seconds.count(), (timeout - seconds).count() * 1'000'000};
        return sigtimedwait(&set_, nullptr, &time) > 0;
    }

private:
    sigset_t set_{};
};

/// A connection needs a descriptor; the usual soft limit of 1024 is less than a busy daemon has.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Tells systemd that the daemon lives, as long as steps are made while requests run.
class Watchdog {
public:
    Watchdog() {
        std::uint64_t timeout_us = 0;
        if (::sd_watchdog_enabled(0, &timeout_us) > 0)
            interval_ = std::chrono::microseconds(timeout_us / 3);
    }
    void look_at(const GenerationEngine& engine) {
        const EngineMetrics metrics = engine.metrics();
        const Clock::time_point now = Clock::now();
        if (metrics.n_steps_total != n_steps_ || metrics.n_requests_running == 0) {
            n_steps_ = metrics.n_steps_total;
            last_step_ = now;
        }
        if (interval_.count() == 0 || now - last_ping_ < interval_ || now - last_step_ > kStuck)
            return;
        last_ping_ = now;
        ::sd_notify(0, "WATCHDOG=1");
    }

private:
    std::chrono::microseconds interval_{0};
    Clock::time_point last_ping_;
    Clock::time_point last_step_ = Clock::now();
    std::uint64_t n_steps_ = 0;
};

// ---- loading ----

/// Makes the engine on its own thread; logs a line a stage and at least a second apart.
class Loader {
public:
    Loader(EngineOptions options, std::string prefixes_dir, std::shared_ptr<LoadingEngine> target)
        : options_(std::move(options)),
          prefixes_dir_(std::move(prefixes_dir)),
          target_(std::move(target)),
          thread_([this] { load(); }) {}
    ~Loader() {
        if (thread_.joinable()) thread_.join();
    }
    bool done() const { return done_; }

private:
    void load() {
        const Clock::time_point start = Clock::now();
        Result<std::unique_ptr<Engine>> engine = create();
        if (engine.has_error()) {
            target_->set_failed(engine.error());
        } else {
            const std::shared_ptr<const ModelInfo> model = (*engine)->model();
            const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
            log_info("model loaded", {{"model", model->id},
                                      {"parameters", model->n_parameters},
                                      {"context", model->context_length},
                                      {"ms", took.count()}});
            compute_prefix_files(**engine, prefixes_dir_);
            target_->set_engine(std::move(*engine));
        }
        done_ = true;
    }

    Result<std::unique_ptr<Engine>> create() {
        try {
            return Engine::create(options_, [this](double fraction, std::string_view what) {
                on_progress(fraction, what);
            });
        } catch (const std::exception& e) {  // std::bad_alloc, in practice
            return Error{ErrorCode::exhausted, fmt::format("loading the model: {}", e.what())};
        }
    }

    void on_progress(double fraction, std::string_view what) {
        target_->set_progress(fraction);
        if (what == stage_ && Clock::now() - last_line_ < std::chrono::seconds(1)) return;
        stage_ = what;
        last_line_ = Clock::now();
        const std::string percent = fmt::format("{:.0f}", fraction * 100);
        log_info("loading", {{"percent", percent}, {"stage", what}});
        ::sd_notifyf(0, "STATUS=Loading the model: %s %%\nEXTEND_TIMEOUT_USEC=60000000",
                     percent.c_str());
    }

    const EngineOptions options_;
    const std::string prefixes_dir_;
    const std::shared_ptr<LoadingEngine> target_;
    std::string stage_;
    Clock::time_point last_line_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

// ---- running ----

/// Until a signal comes or the engine is beyond repair.
int serve(const StopSignals& signals, const LoadingEngine& engine, const Loader& loader,
          Watchdog& watchdog) {
    bool said_ready = false;
    while (!signals.wait(kTick)) {
        watchdog.look_at(engine);
        if (!loader.done()) continue;
        const EngineState state = engine.state();
        if (state.phase == EngineState::Phase::failed) {
            return complain(said_ready ? exit_failure : exit_no_model,
                            state.error.value_or(Error{ErrorCode::io, "the engine failed"}));
        }
        if (said_ready) continue;
        said_ready = true;
        ::sd_notify(0, "READY=1\nSTATUS=Serving");
        log_info("ready");
    }
    log_info("stopping; a second signal stops at once");
    return exit_ok;
}

void drain(HttpServer& server, const StopSignals& signals, const LoadingEngine& engine,
           Watchdog& watchdog) {
    ::sd_notify(0, "STOPPING=1\nSTATUS=Finishing running requests");
    server.begin_stop();
    while (!server.wait_stopped(milliseconds(50))) {
        watchdog.look_at(engine);
        if (!signals.wait(milliseconds(1))) continue;
        server.stop_now();
        (void)server.wait_stopped(milliseconds(500));
        return;
    }
}

int check(const EngineOptions& options) {
    const Result<std::unique_ptr<Engine>> engine = Engine::create(options, {});
    if (engine.has_error()) return complain(exit_no_model, engine.error());
    const std::shared_ptr<const ModelInfo> model = (*engine)->model();
    fmt::print("{}: {} parameters, context {}, vocabulary {}: ok\n", model->id, model->n_parameters,
               model->context_length, model->n_vocab);
    return exit_ok;
}

int run(const Settings& settings) {
    const StopSignals signals;
    raise_descriptor_limit();
    const Result<DomainTable> domains = DomainTable::resolve(settings.domains);
    if (domains.has_error()) return complain(exit_usage, domains.error());
    Result<EngineOptions> engine_opts = engine_options(settings, *domains);
    if (engine_opts.has_error()) {
        return complain(
            engine_opts.error().code == ErrorCode::not_found ? exit_no_model : exit_usage,
            engine_opts.error());
    }
    if (settings.check_only) return check(*engine_opts);
    Result<HttpOptions> http_opts = http_options(settings.server, *domains);
    if (http_opts.has_error()) return complain(exit_usage, http_opts.error());

    const auto engine = std::make_shared<LoadingEngine>();
    const auto items = std::make_shared<ItemMemory>();
    engine_opts->on_forget = [items](HolderKind kind, DomainId domain, const std::string& name) {
        const auto number = static_cast<std::uint32_t>(domain);
        if (kind == HolderKind::session) items->forget_session(number, name);
        if (kind == HolderKind::context) items->forget_context(number, name);
    };
    Result<std::unique_ptr<HttpServer>> server = HttpServer::start(*http_opts, engine, items);
    if (server.has_error()) {
        return complain(
            server.error().code == ErrorCode::invalid_argument ? exit_usage : exit_failure,
            server.error());
    }
    log_info("listening", {{"socket", http_opts->socket_path},
                           {"tcp_port", (*server)->tcp_port()},
                           {"inherited", http_opts->inherited_sockets.size()}});
    Watchdog watchdog;
    Loader loader(std::move(*engine_opts), settings.cache.prefixes_dir, engine);
    const int code = serve(signals, *engine, loader, watchdog);
    drain(**server, signals, *engine, watchdog);
    // The engine's thread first: however late it lets go of a connection, the server is still
    // there.
    if (loader.done()) engine->shut_down();
    server->reset();
    log_info("stopped");
    // A load cannot be interrupted, and nothing of it needs an orderly end.
    if (!loader.done()) std::quick_exit(code);
    return code;
}

}  // namespace

}  // namespace kvasir

int main(int argc, char** argv) {
    using namespace kvasir;
    const Result<Settings> settings = load_settings(argc, argv, process_environment());
    if (settings.has_error()) {
        fmt::print(stderr, "kvasird: {}\n", settings.error().message);
        return exit_usage;
    }
    if (!settings->print.empty()) {
        fmt::print("{}", settings->print);
        return exit_ok;
    }
    set_up_log(settings->log.level);
    try {
        return run(*settings);
    } catch (const std::exception& e) {
        return complain(exit_failure, {ErrorCode::io, e.what()});
    }
}
