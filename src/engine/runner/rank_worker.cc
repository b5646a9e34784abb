#include "engine/runner/rank_worker.h"

#include <utility>

namespace dray::engine {

Result<std::unique_ptr<RankWorker>> RankWorker::Make(const model::ModelConfig& config,
                                                     const RankModel& rank,
                                                     std::shared_ptr<kernels::Backend> backend,
                                                     const RunnerSpec& spec,
                                                     parallel::Communicator* communicator) {
  const model::ForwardParts parts = {.config = config,
                                     .stack = rank.stack,
                                     .weights = rank.weights,
                                     .backend = *backend,
                                     .communicator = communicator,
                                     .stage = rank.stage,
                                     .stream = rank.stream};
  std::unique_ptr<RankWorker> worker(new RankWorker(std::move(backend), rank));
  DRAY_RETURN_IF_ERROR(worker->AddModel(parts, spec));
  if (rank.encoder) DRAY_RETURN_IF_ERROR(worker->AddEncoder(*rank.encoder, parts, spec));
  return worker;
}

Status RankWorker::AddModel(const model::ForwardParts& parts, const RunnerSpec& spec) {
  if (parts.config.kind == model::ModelKind::kEncoder) {
    DRAY_ASSIGN_OR_RETURN(encoder_, model::Encoder::Make(parts, SourceLimits(spec)));
    return OkStatus();
  }
  DRAY_ASSIGN_OR_RETURN(cache_, model::KvCache::Make(parts.backend, parts.stack, spec.cache));
  DRAY_ASSIGN_OR_RETURN(decoder_, model::Decoder::Make(parts, spec.step));
  return OkStatus();
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
  turn_.emplace(*backend_, step.num_tokens());
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
  if (!part.rows.empty()) DRAY_RETURN_IF_ERROR(Results(part.rows, out));
  return CheckIntact();
}

Status RankWorker::Forward(const RunnerStep& step) {
  if (NumRows(step) == 0) return OkStatus();
  DRAY_RETURN_IF_ERROR(decoder_ != nullptr ? decoder_->Forward(step.batch, cache_)
                                           : encoder_->Forward(step.sources.texts));
  return CheckIntact();
}

Status RankWorker::Results(std::span<const int32_t> rows, model::RowResults out) {
  if (decoder_ != nullptr) return decoder_->Logits(rows, out);
  // Every rank of the last stage has all states and the whole classifier.
  if (!out.states.empty()) DRAY_RETURN_IF_ERROR(encoder_->States(rows, out.states));
  return out.logits.empty() ? OkStatus() : encoder_->ClassOutputs(rows, out.logits);
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
