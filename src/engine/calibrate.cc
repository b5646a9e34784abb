#include "engine/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/checked_math.h"
#include "engine/runner/activation_recorder.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/make_runner.h"
#include "engine/validate.h"
#include "model/weights/slot_slices.h"

namespace dray::engine {
namespace {

bool IsFloat(const std::optional<kernels::WeightForm>& form) {
  return form && form->format != kernels::WeightFormat::kI8 &&
         form->format != kernels::WeightFormat::kI4;
}

bool IsCalibrated(model::Slot slot) {
  return std::find(model::kCalibratedSlots.begin(), model::kCalibratedSlots.end(), slot) !=
         model::kCalibratedSlots.end();
}

}  // namespace

Result<std::unique_ptr<Calibrator>> Calibrator::Load(LoadModelOptions options) {
  // What quantize left of the floats that dtype named.
  if (!IsFloat(options.format)) options.format = options.table_format;
  options.table_format.reset();
  options.smoothing.reset();
  options.int8_cache = false;  // balanced channels would be measured
  // A recorder sees the matrices of this process only. At the same degrees the figures are the same.
  options.ranks.transport = RankTransport::kThreads;
  DRAY_ASSIGN_OR_RETURN(auto model, LoadModel(options));
  DRAY_RETURN_IF_ERROR(CheckKind(model->description.config, model::ModelKind::kDecoder));
  std::unique_ptr<Calibrator> calibrator(new Calibrator(std::move(model)));
  calibrator->Record();
  DRAY_RETURN_IF_ERROR(calibrator->PrepareRunner());
  return calibrator;
}

void Calibrator::Record() {
  const model::ModelDescription& description = model_->description;
  for (RankModel& rank : model_->ranks) {
    const auto recorder = std::make_shared<ActivationRecorder>(rank.backend);
    rank.backend = recorder;
    for (const model::WeightRow& row : description.weights) {
      if (!IsCalibrated(row.slot) || !IsPresent(row, description.config)) continue;
      // Inputs that are not divided are the same at all ranks, so the first rank records them.
      if (rank.rank.index > 0 && row.shard != model::ShardRule::kRow) continue;
      const auto columns = SlicesOf(row, description.config, rank.rank).stored_columns();
      if (columns.count == 0) continue;
      const auto layers = parallel::CutLayers(description.config.stack.num_layers, rank.stage);
      for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
        recorder->Watch(
            *rank.weights.Matrix(row.slot, layer - layers.begin),
            calibration_.Peaks(row.slot, layer)
                .subspan(static_cast<size_t>(columns.begin), static_cast<size_t>(columns.count)));
      }
    }
  }
}

Status Calibrator::PrepareRunner() {
  const EngineOptions defaults;
  max_sequence_tokens_ =
      std::min(model_->description.config.stack.max_positions, defaults.max_batch_tokens);
  block_size_ = defaults.block_size;
  const int64_t num_blocks = DivideRoundUp(max_sequence_tokens_, block_size_);
  for (int64_t i = 0; i < num_blocks; ++i) block_table_.emplace_back(static_cast<int32_t>(i));
  const RunnerSpec spec = {.cache = {.num_blocks = num_blocks,
                                     .block_size = block_size_,
                                     .dtype = KvDType(*model_, defaults)},
                           .step = {.max_batch_tokens = max_sequence_tokens_,
                                    .max_sequences = 1,
                                    .max_logit_rows = 1,
                                    .max_table_entries = num_blocks}};
  DRAY_ASSIGN_OR_RETURN(runner_, MakeRunner(*model_, spec));
  return OkStatus();
}

Status Calibrator::Read(std::span<const int32_t> ids) {
  DRAY_RETURN_IF_ERROR(ValidateTokens(ids, model_->description.config.vocab_size));
  const auto num_tokens = static_cast<int64_t>(ids.size());
  if (num_tokens > max_sequence_tokens_) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a sequence of {} tokens: calibration reads at most {} at once, cut it",
                        num_tokens, max_sequence_tokens_)};
  }
  RunnerStep step;
  step.AppendRows({.num_rows = num_tokens,
                   .num_prompt_tokens = num_tokens,
                   .known = ids,
                   .block_table = block_table_},
                  block_size_);
  runner_->Submit(step);
  DRAY_RETURN_IF_ERROR(runner_->Collect().status);
  calibration_.num_tokens += num_tokens;
  return OkStatus();
}

}  // namespace dray::engine
