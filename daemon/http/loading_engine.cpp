#include "daemon/http/loading_engine.hpp"

#include <algorithm>
#include <utility>

namespace kvasir {

void LoadingEngine::set_progress(double progress) {
    const std::lock_guard lock(mutex_);
    state_.progress = std::clamp(progress, 0.0, 1.0);
}

void LoadingEngine::set_engine(std::shared_ptr<GenerationEngine> engine) {
    const std::lock_guard lock(mutex_);
    engine_ = std::move(engine);
}

void LoadingEngine::set_failed(Error error) {
    const std::lock_guard lock(mutex_);
    state_.phase = EngineState::Phase::failed;
    state_.error = std::move(error);
}

std::shared_ptr<GenerationEngine> LoadingEngine::engine() const {
    const std::lock_guard lock(mutex_);
    return engine_;
}

EngineState LoadingEngine::state() const {
    if (const auto real = engine()) return real->state();
    const std::lock_guard lock(mutex_);
    return state_;
}

std::shared_ptr<const ModelInfo> LoadingEngine::model() const {
    const auto real = engine();
    return real ? real->model() : nullptr;
}

Result<RequestId> LoadingEngine::submit(GenerationRequest request,
                                        std::shared_ptr<GenerationSink> sink) {
    if (const auto real = engine()) return real->submit(std::move(request), std::move(sink));
    return Error{ErrorCode::unsupported, "engine: the model is not loaded"};
}

void LoadingEngine::cancel(RequestId id) {
    if (const auto real = engine()) real->cancel(id);
}

EngineMetrics LoadingEngine::metrics() const {
    const auto real = engine();
    return real ? real->metrics() : EngineMetrics{};
}

void LoadingEngine::shut_down() {
    if (const auto real = engine()) real->shut_down();
}

Result<> LoadingEngine::post(std::function<void(CacheControl&)> task) {
    if (const auto real = engine()) return real->post(std::move(task));
    return Error{ErrorCode::unsupported, "engine: the model is not loaded"};
}

}  // namespace kvasir
