// This runner computes one step at a time, and computes it in Collect. Logits are computed piece by
// piece from the output of the forward pass, which the next forward pass would overwrite, so no
// second step can begin before the first is collected. Submit therefore only remembers the step: it
// needs no queue and no copy.
#include "engine/runner/local_runner.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace dray::engine {
namespace {

// Logits are computed for as many rows at once as fit this many bytes, on the device and on the
// host: enough for the head's weights to be shared by many rows, small beside any model.
constexpr int64_t kLogitsBytes = int64_t{16} << 20;

using Clock = std::chrono::steady_clock;

int64_t RowsAtOnce(int64_t vocab_size, int64_t most) {
  const int64_t row_bytes = vocab_size * static_cast<int64_t>(sizeof(float));
  return std::clamp<int64_t>(kLogitsBytes / row_bytes, 1, most);
}

// kInternal is a fault of the device, after which nothing is known of its state. All other errors
// mean that the backend refused an operation, for example because memory is short.
FailureScope ScopeOf(const Status& status) {
  return status.code() == StatusCode::kInternal ? FailureScope::kRunner : FailureScope::kStep;
}

class LocalRunner final : public ModelRunner {
 public:
  LocalRunner(const LoadedModel& model, kernels::Backend& backend, model::KvCache cache,
              std::unique_ptr<model::Decoder> decoder, int64_t rows_at_once)
      : model_(model),
        backend_(backend),
        cache_(std::move(cache)),
        decoder_(std::move(decoder)),
        rows_at_once_(static_cast<size_t>(rows_at_once)),
        logits_(rows_at_once_ * vocab_size()) {}

  size_t max_steps_in_flight() const override { return 1; }

  void Submit(const RunnerStep& step) override {
    DRAY_CHECK(step_ == nullptr);
    step_ = &step;
    num_done_ = 0;
  }

  StepPiece Collect() override {
    DRAY_CHECK(step_ != nullptr);
    const auto rows = std::span(step_->logit_rows).subspan(num_done_);
    const auto now = rows.first(std::min(rows.size(), rows_at_once_));
    const auto logits = std::span(logits_).first(now.size() * vocab_size());
    const bool is_last = now.size() == rows.size();
    Status status = turn_ ? OkStatus() : Begin();
    if (status.ok() && !now.empty()) status = decoder_->Logits(now, logits);
    if (status.ok() && is_last) status = turn_->Finish();
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (is_last || !status.ok()) Abandon();
    if (!status.ok()) {
      const FailureScope scope = ScopeOf(status);
      return {.status = std::move(status), .scope = scope, .is_last = true, .seconds = seconds};
    }
    const auto first = static_cast<int64_t>(num_done_);
    num_done_ += now.size();
    return {.first = first,
            .num_rows = static_cast<int64_t>(now.size()),
            .logits = logits,
            .is_last = is_last,
            .seconds = seconds};
  }

  void Abandon() override {
    turn_.reset();
    step_ = nullptr;
  }

 private:
  size_t vocab_size() const { return static_cast<size_t>(model_.description.config.vocab_size); }

  // Waits for the processors, then copies blocks and runs the forward pass.
  Status Begin() {
    turn_.emplace(backend_, static_cast<int64_t>(step_->batch.ids.size()));
    start_ = Clock::now();
    CopyBlocks();
    if (step_->batch.ids.empty()) return OkStatus();
    return decoder_->Forward(step_->batch, cache_);
  }

  void CopyBlocks() {
    if (step_->copy_from.empty()) return;
    for (int64_t layer = 0; layer < model_.description.config.stack.num_layers; ++layer) {
      backend_.ops().CopyBlocks({.cache = cache_.Layer(layer),
                                 .from = step_->copy_from.data(),
                                 .to = step_->copy_to.data(),
                                 .num_copies = static_cast<int64_t>(step_->copy_from.size())});
    }
  }

  const LoadedModel& model_;
  kernels::Backend& backend_;
  model::KvCache cache_;
  std::unique_ptr<model::Decoder> decoder_;
  size_t rows_at_once_;
  std::vector<float> logits_;  // [rows_at_once, vocab]

  // The step in flight.
  const RunnerStep* step_ = nullptr;
  std::optional<kernels::StepTurn> turn_;  // from its first piece to its last
  size_t num_done_ = 0;                    // how many of its logit_rows are computed
  Clock::time_point start_;
};

Result<std::unique_ptr<ModelRunner>> MakeRunner(const LoadedModel& model, kernels::Backend& backend,
                                                const RunnerSpec& spec) {
  const model::ModelConfig& config = model.description.config;
  model::DecoderLimits limits = spec.step;
  limits.max_logit_rows = RowsAtOnce(config.vocab_size, limits.max_logit_rows);
  DRAY_ASSIGN_OR_RETURN(auto cache, model::KvCache::Make(backend, config.stack, spec.cache));
  DRAY_ASSIGN_OR_RETURN(auto decoder, model::Decoder::Make(config, model.weights, backend, limits));
  return std::unique_ptr<ModelRunner>(std::make_unique<LocalRunner>(
      model, backend, std::move(cache), std::move(decoder), limits.max_logit_rows));
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> MakeLocalRunner(LoadedModel& model, const RunnerSpec& spec) {
  return MakeRunner(model, *model.backend, spec);
}

RunnerMaker MakeLocalRunnerOn(kernels::Backend& backend) {
  return [&backend](LoadedModel& model, const RunnerSpec& spec) {
    return MakeRunner(model, backend, spec);
  };
}

}  // namespace dray::engine
