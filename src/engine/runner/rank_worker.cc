#include "engine/runner/rank_worker.h"

#include <utility>

namespace dray::engine {

Result<std::unique_ptr<RankWorker>> RankWorker::Make(const model::ModelConfig& config,
                                                     const RankModel& rank,
                                                     std::shared_ptr<kernels::Backend> backend,
                                                     const RunnerSpec& spec,
                                                     parallel::Communicator* communicator) {
  DRAY_ASSIGN_OR_RETURN(auto cache, model::KvCache::Make(*backend, rank.stack, spec.cache));
  const model::ForwardParts parts = {.config = config,
                                     .stack = rank.stack,
                                     .weights = rank.weights,
                                     .backend = *backend,
                                     .communicator = communicator,
                                     .stage = rank.stage,
                                     .stream = rank.stream};
  DRAY_ASSIGN_OR_RETURN(auto decoder, model::Decoder::Make(parts, spec.step));
  std::unique_ptr<RankWorker> worker(
      new RankWorker(std::move(backend), rank, std::move(cache), std::move(decoder)));
  if (rank.encoder) DRAY_RETURN_IF_ERROR(worker->AddEncoder(*rank.encoder, parts, spec));
  return worker;
}

Status RankWorker::AddEncoder(const RankEncoder& encoder, const model::ForwardParts& decoder,
                              const RunnerSpec& spec) {
  encoder_config_ = std::make_unique<const model::ModelConfig>(model::EncoderOf(decoder.config));
  DRAY_ASSIGN_OR_RETURN(source_encoder_,
                        model::SourceEncoder::Make({.config = *encoder_config_,
                                                    .stack = encoder.stack,
                                                    .weights = encoder.weights,
                                                    .backend = decoder.backend,
                                                    .communicator = decoder.communicator,
                                                    .stage = decoder.stage,
                                                    .tables = &decoder.weights},
                                                   decoder, SourceLimits(spec)));
  return OkStatus();
}

void RankWorker::Begin(const RunnerStep& step) {
  Abandon();
  turn_.emplace(*backend_, static_cast<int64_t>(step.batch.ids.size() + step.sources.slots.size()));
}

Status RankWorker::Compute(const StepPart& part, model::RowResults out) {
  if (part.is_first) {
    CopyBlocks(*part.step);
    if (!part.step->sources.slots.empty()) {
      DRAY_RETURN_IF_ERROR(EncodeSources(*part.step));
      DRAY_RETURN_IF_ERROR(StoreSources(*part.step));
    }
    DRAY_RETURN_IF_ERROR(Forward(*part.step));
  }
  if (!part.rows.empty()) DRAY_RETURN_IF_ERROR(decoder_->Logits(part.rows, out));
  return CheckIntact();
}

Status RankWorker::Forward(const RunnerStep& step) {
  if (step.batch.ids.empty()) return OkStatus();
  DRAY_RETURN_IF_ERROR(decoder_->Forward(step.batch, cache_));
  return CheckIntact();
}

Status RankWorker::End() {
  Status status = turn_->Finish();
  turn_.reset();
  return status;
}

void RankWorker::CopyBlocks(const RunnerStep& step) {
  if (step.copy_from.empty()) return;
  for (int64_t layer = 0; layer < num_layers_; ++layer) {
    backend_->ops().CopyBlocks({.cache = cache_.Layer(layer),
                                .from = step.copy_from.data(),
                                .to = step.copy_to.data(),
                                .num_copies = static_cast<int64_t>(step.copy_from.size())});
  }
}

}  // namespace dray::engine
