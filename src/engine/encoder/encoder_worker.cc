#include "engine/encoder/encoder_worker.h"

#include <utility>

namespace dray::engine {
namespace {

class EncoderWorker final : public Engine {
 public:
  explicit EncoderWorker(std::shared_ptr<const EncoderEngine> engine)
      : engine_(std::move(engine)), before_(engine_->stats()) {}

  Result<RequestId> Submit(GenerateRequest, std::shared_ptr<EventSink>) override {
    return Status(StatusCode::kUnsupported, "an encoder generates no text");
  }
  void Cancel(RequestId) override {}

  EngineLimits limits() const override {
    return {.vocab_size = engine_->limits().vocab_size,
            .max_context_tokens = engine_->limits().max_tokens};
  }
  EngineStats stats() const override {
    EngineStats stats = engine_->stats();
    stats.steps -= before_.steps;
    stats.prompt_tokens -= before_.prompt_tokens;
    stats.restarts -= before_.restarts;
    stats.restart_seconds -= before_.restart_seconds;
    stats.step_sizes.sum -= before_.step_sizes.sum;
    for (size_t i = 0; i < stats.step_sizes.counts.size(); ++i) {
      stats.step_sizes.counts[i] -= before_.step_sizes.counts[i];
    }
    return stats;
  }
  bool healthy() const override { return engine_->healthy(); }

 private:
  const std::shared_ptr<const EncoderEngine> engine_;
  const EngineStats before_;
};

}  // namespace

std::unique_ptr<Engine> MakeEncoderWorker(std::shared_ptr<const EncoderEngine> engine) {
  return std::make_unique<EncoderWorker>(std::move(engine));
}

}  // namespace dray::engine
