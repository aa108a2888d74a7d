#include "daemon/kvasir/top_poller.hpp"

#include <csignal>
#include <ctime>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace kvasir::client {
namespace {

// A connect that waits (the daemon's backlog is full) has no descriptor to be woken by.
constexpr int kWakeSignal = SIGURG;
constexpr std::size_t kMostLooks = 16;

extern "C" void on_wake(int) {}

void catch_wake_signal() {
    struct sigaction action {};
    action.sa_handler = on_wake;  // no SA_RESTART
    sigemptyset(&action.sa_mask);
    sigaction(kWakeSignal, &action, nullptr);
}

void signal_event(int fd) {
    const std::uint64_t one = 1;
    (void)!::write(fd, &one, sizeof one);
}

std::string time_of_day() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

}  // namespace

TopPoller::TopPoller(const Endpoint& endpoint, std::chrono::milliseconds interval)
    : endpoint_(endpoint),
      interval_(interval),
      ready_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    catch_wake_signal();
    thread_ = std::thread([this] { run(); });
}

TopPoller::~TopPoller() {
    {
        const std::lock_guard lock(mutex_);
        stops_ = true;
    }
    signal_event(stop_.get());
    wake_.notify_all();
    while (!has_ended_) {
        ::pthread_kill(thread_.native_handle(), kWakeSignal);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    thread_.join();
}

std::optional<TopLook> TopPoller::take() {
    const std::lock_guard lock(mutex_);
    if (looks_.empty()) return std::nullopt;
    TopLook look = std::move(looks_.front());
    looks_.pop_front();
    std::uint64_t ignored = 0;
    if (looks_.empty()) (void)!::read(ready_.get(), &ignored, sizeof ignored);
    return look;
}

void TopPoller::run() {
    auto next = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!stops_) {
        lock.unlock();
        TopLook taken = look();
        lock.lock();
        if (stops_) break;
        if (looks_.size() == kMostLooks) looks_.pop_front();
        looks_.push_back(std::move(taken));
        signal_event(ready_.get());
        // A late answer moves the looks that follow; none are made up for.
        next = std::max(next + interval_, std::chrono::steady_clock::now());
        wake_.wait_until(lock, next, [this] { return stops_; });
    }
    lock.unlock();
    has_ended_ = true;
}

Result<HttpReply> TopPoller::ask(const char* path) {
    auto connection = HttpConnection::open(endpoint_);
    cannot_connect_ = connection.has_error();
    if (cannot_connect_) return connection.error();
    KVASIR_TRY(HttpReply reply, connection->exchange({"GET", path, ""}, nullptr, stop_.get()));
    if (reply.cancelled) return Error{ErrorCode::conflict, "stopped"};
    return reply;
}

Result<std::string> TopPoller::body_of(const char* path) {
    KVASIR_TRY(HttpReply reply, ask(path));
    return reply.status == 200 ? std::move(reply.body) : std::string();
}

TopLook TopPoller::look() {
    const auto seconds = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
    };
    const auto read = [this]() -> Result<TopAnswers> {
        TopAnswers answers;
        KVASIR_TRY(HttpReply health, ask("/health"));  // its body counts while loading, too
        answers.health = std::move(health.body);
        KVASIR_TRY(answers.cache, body_of("/v1/cache"));
        KVASIR_TRY(answers.sessions, body_of("/v1/sessions"));
        if (models_.empty()) {
            KVASIR_TRY(models_, body_of("/v1/models"));
        }
        answers.models = models_;
        KVASIR_TRY(answers.metrics, body_of("/metrics"));  // last: rates are from then
        return answers;
    };
    TopLook look;
    const Result<TopAnswers> answers = read();
    if (answers.has_error()) {
        look.report = history_.miss(answers.error().message);
        look.cannot_connect = cannot_connect_;
        models_.clear();  // another daemon may come
    } else {
        look.report = history_.look(*answers, seconds());
    }
    look.report.where = endpoint_.name();
    look.report.clock = time_of_day();
    look.report.unix_seconds = static_cast<double>(std::time(nullptr));
    look.report.interval_seconds = std::chrono::duration<double>(interval_).count();
    return look;
}

}  // namespace kvasir::client
