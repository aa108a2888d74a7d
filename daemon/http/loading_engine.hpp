// LoadingEngine: stands before the real engine while that is being made, so that the socket can
// answer from the start.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "daemon/engine/generation.hpp"

namespace kvasir {

/// loading -> ready or failed. Once set, the engine answers for itself. Every member: any thread.
class LoadingEngine final : public GenerationEngine {
public:
    void set_progress(double progress);  // 0 to 1
    void set_engine(std::shared_ptr<GenerationEngine> engine);
    void set_failed(Error error);

    EngineState state() const override;
    std::shared_ptr<const ModelInfo> model() const override;
    Result<RequestId> submit(GenerationRequest request,
                             std::shared_ptr<GenerationSink> sink) override;
    void cancel(RequestId id) override;
    EngineMetrics metrics() const override;
    Result<> post(std::function<void(CacheControl&)> task) override;
    void shut_down() override;

private:
    std::shared_ptr<GenerationEngine> engine() const;

    mutable std::mutex mutex_;
    EngineState state_;
    std::shared_ptr<GenerationEngine> engine_;
};

}  // namespace kvasir
