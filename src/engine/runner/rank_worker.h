// One rank at work: its key/value cache and its forward pass. A runner has one for each of its
// ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "kernels/backend.h"
#include "model/forward/decoder.h"
#include "model/forward/kv_cache.h"
#include "model/forward/source_encoder.h"
#include "parallel/communicator.h"
#include "parallel/shard.h"

namespace dray::engine {

// What a runner computes between two looks at the results: a step is computed in one or more pieces.
// The first piece also copies blocks and runs the forward pass.
struct StepPart {
  const RunnerStep* step = nullptr;
  std::span<const int32_t> rows;  // of the batch, whose results are computed
  bool is_first = false;
  bool is_last = false;
};

// Not thread-safe.
class RankWorker {
 public:
  // Allocates the cache and all working memory; steps allocate none. `config` is the whole model's.
  // The weights of `rank` are computed by `backend`. `communicator` connects the ranks of a group;
  // null: the rank has the whole model. `config`, `rank` and the communicator must outlive the worker.
  static Result<std::unique_ptr<RankWorker>> Make(const model::ModelConfig& config,
                                                  const RankModel& rank,
                                                  std::shared_ptr<kernels::Backend> backend,
                                                  const RunnerSpec& spec,
                                                  parallel::Communicator* communicator = nullptr);

  // Waits for the processors and begins a step of the backend.
  void Begin(const RunnerStep& step);
  // Computes a part of the step. `out` gets what the rows give, at rank 0 only. kCorrupt if the file that
  // the weights are mapped from has changed.
  Status Compute(const StepPart& part, model::RowResults out);

  // What Compute does in the first part of a step before it computes rows, in this order. Stages call
  // these one by one, since the ranks give each other the streams in between (stages/stage_pass.h). The
  // step must have sources for the second and the third.
  void CopyBlocks(const RunnerStep& step);
  Status EncodeSources(const RunnerStep& step) { return source_encoder_->Encode(step.sources); }
  Status StoreSources(const RunnerStep& step) {
    return source_encoder_->Store(step.sources, cache_);
  }
  Status Forward(const RunnerStep& step);

  parallel::Stage stage() const { return stage_; }
  // What the decoder of the rank's stage reads, and leaves for the next one (model/forward/decoder.h).
  std::span<float> Stream(int64_t num_tokens) const { return decoder_->Stream(num_tokens); }
  // What the encoder reads and leaves (model/forward/source_encoder.h).
  std::span<float> SourceStream(int64_t num_tokens) const {
    return source_encoder_->Stream(num_tokens);
  }
  // Ends the step of the backend and returns its error.
  Status End();
  // Ends a step that Begin has begun and End has not ended, if there is one.
  void Abandon() { turn_.reset(); }

 private:
  RankWorker(std::shared_ptr<kernels::Backend> backend, const RankModel& rank, model::KvCache cache,
             std::unique_ptr<model::Decoder> decoder)
      : backend_(std::move(backend)),
        artifact_(rank.artifact),
        stage_(rank.stage),
        num_layers_(rank.stack.num_layers),
        cache_(std::move(cache)),
        decoder_(std::move(decoder)) {}
  // Makes the encoder of an encoder-decoder, whose decoder is `decoder`.
  Status AddEncoder(const RankEncoder& encoder, const model::ForwardParts& decoder,
                    const RunnerSpec& spec);
  // What was computed with lost pages must not become tokens.
  Status CheckIntact() const {
    return artifact_ == nullptr ? OkStatus() : artifact_->CheckIntact();
  }

  std::shared_ptr<kernels::Backend> backend_;
  std::shared_ptr<const artifact::MappedArtifact> artifact_;  // RankModel's
  parallel::Stage stage_;
  int64_t num_layers_;
  model::KvCache cache_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<const model::ModelConfig> encoder_config_;  // that source_encoder_ refers to
  std::unique_ptr<model::SourceEncoder> source_encoder_;      // null if the model has no encoder
  std::optional<kernels::StepTurn> turn_;
};

}  // namespace dray::engine
