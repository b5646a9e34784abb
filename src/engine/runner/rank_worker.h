// One rank at work: its key/value cache and its forward pass, a decoder's or an encoder's. A runner has
// one for each of its ranks.
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
#include "model/forward/encoder.h"
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
  // How many rows Forward computes.
  int64_t NumRows(const RunnerStep& step) const {
    return static_cast<int64_t>(decoder_ != nullptr ? step.batch.ids.size()
                                                    : step.sources.texts.ids.size());
  }
  // What Forward reads at the rank's stage, and leaves for the next one (model/forward/decoder.h).
  std::span<float> Stream(int64_t num_rows) const {
    return decoder_ != nullptr ? decoder_->Stream(num_rows) : encoder_->Stream(num_rows);
  }
  // What the encoder of an encoder-decoder reads and leaves (model/forward/source_encoder.h).
  std::span<float> SourceStream(int64_t num_tokens) const {
    return source_encoder_->Stream(num_tokens);
  }
  // Ends the step of the backend and returns its error.
  Status End();
  // Ends a step that Begin has begun and End has not ended, if there is one.
  void Abandon() { turn_.reset(); }

 private:
  RankWorker(std::shared_ptr<kernels::Backend> backend, const RankModel& rank)
      : backend_(std::move(backend)),
        artifact_(rank.artifact),
        stage_(rank.stage),
        num_layers_(rank.stack.num_layers) {}
  // Makes the cache and the forward pass.
  Status AddModel(const model::ForwardParts& parts, const RunnerSpec& spec);
  // Makes the encoder of an encoder-decoder, whose decoder is `decoder`.
  Status AddEncoder(const RankEncoder& encoder, const model::ForwardParts& decoder,
                    const RunnerSpec& spec);
  // Computes what rows of the last Forward give.
  Status Results(std::span<const int32_t> rows, model::RowResults out);
  // What was computed with lost pages must not become tokens.
  Status CheckIntact() const {
    return artifact_ == nullptr ? OkStatus() : artifact_->CheckIntact();
  }

  std::shared_ptr<kernels::Backend> backend_;
  std::shared_ptr<const artifact::MappedArtifact> artifact_;  // RankModel's
  parallel::Stage stage_;
  int64_t num_layers_;
  model::KvCache cache_;                                      // a decoder's
  std::unique_ptr<model::Decoder> decoder_;                   // null if the model is an encoder
  std::unique_ptr<model::Encoder> encoder_;                   // if it is
  std::unique_ptr<const model::ModelConfig> encoder_config_;  // that source_encoder_ refers to
  std::unique_ptr<model::SourceEncoder> source_encoder_;      // null but in an encoder-decoder
  std::optional<kernels::StepTurn> turn_;
};

}  // namespace dray::engine
