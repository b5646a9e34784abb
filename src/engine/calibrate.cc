#include "engine/calibrate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/runner/activation_recorder.h"

namespace dray::engine {
namespace {

bool IsFloat(const std::optional<kernels::WeightForm>& form) {
  return form && form->format != kernels::WeightFormat::kI8 &&
         form->format != kernels::WeightFormat::kI4;
}

// Nobody waits for the one token that ends each sequence.
class Nobody : public EventSink {
 public:
  void OnEvent(Event event) override {
    if (const auto* end = std::get_if<RequestEndEvent>(&event)) status = end->status;
  }
  Status status;
};

}  // namespace

Result<std::unique_ptr<Calibrator>> Calibrator::Load(LoadModelOptions options) {
  DRAY_ASSIGN_OR_RETURN(auto backend, BackendOf(options));
  const auto recorder = std::make_shared<ActivationRecorder>(std::move(backend));
  options.backend = recorder;
  // What quantize left of the floats that dtype named.
  if (!IsFloat(options.format)) options.format = options.table_format;
  options.table_format.reset();
  options.smoothing.reset();
  DRAY_ASSIGN_OR_RETURN(auto model, LoadModel(options));
  std::unique_ptr<Calibrator> calibrator(new Calibrator(std::move(model)));
  const model::Weights& weights = calibrator->model_->weights;
  const model::ModelConfig& config = calibrator->model_->description.config;
  for (int64_t layer = 0; layer < config.stack.num_layers; ++layer) {
    for (const model::Slot slot : model::kCalibratedSlots) {
      recorder->Watch(*weights.Matrix(slot, layer), calibrator->calibration_.Peaks(slot, layer));
    }
  }
  // A sequence is one step; behind it the engine asks room for one more token.
  EngineOptions engine = {.max_sequences = 1};
  engine.max_context_tokens = std::min(config.stack.max_positions, engine.max_batch_tokens + 1);
  DRAY_ASSIGN_OR_RETURN(calibrator->core_, EngineCore::Make(*calibrator->model_, engine));
  return calibrator;
}

int64_t Calibrator::max_sequence_tokens() const { return core_->limits().max_context_tokens - 1; }

Status Calibrator::Read(std::vector<int32_t> ids) {
  const auto num_tokens = static_cast<int64_t>(ids.size());
  GenerateRequest request;
  request.prompt = std::move(ids);
  request.params.max_new_tokens = 1;
  DRAY_RETURN_IF_ERROR(core_->Validate(request));
  const auto sink = std::make_shared<Nobody>();
  core_->Add(RequestId(++num_sequences_), std::move(request), sink);
  while (core_->Step()) {
  }
  DRAY_RETURN_IF_ERROR(sink->status);
  calibration_.num_tokens += num_tokens;
  return OkStatus();
}

}  // namespace dray::engine
