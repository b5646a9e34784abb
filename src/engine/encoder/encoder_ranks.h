// The forward pass of an encoder at all ranks of its model. Rank 0 computes on the thread that calls, each
// other rank on a thread of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/ranks/rank_threads.h"
#include "model/forward/encoder.h"

namespace dray::engine {

// Threads: one caller at a time.
class EncoderRanks {
 public:
  // Allocates all working memory; passes allocate none. The model must outlive the result.
  // kUnsupported if the model is no encoder, if its layers are divided among stages, or if its ranks are
  // other processes.
  static Result<std::unique_ptr<EncoderRanks>> Make(const LoadedModel& model,
                                                    const model::EncoderLimits& limits);

  // Bytes of working memory of all ranks, on devices and host.
  static int64_t WorkingBytes(const LoadedModel& model, const model::EncoderLimits& limits);

  // Computes the texts. The caller is within a step of the first rank's backend, to which the processors
  // of all ranks belong. After an error of one of several ranks the group has ended.
  Status Forward(const model::EncoderBatch& batch);
  // Has the results of the last Forward; only the functions that read them may be called.
  model::Encoder& first() { return *encoders_.front(); }
  // Whether every further Forward fails.
  bool has_ended() const { return threads_ != nullptr && !threads_->failure().ok(); }

 private:
  explicit EncoderRanks(const LoadedModel& model) : model_(model) {}
  Status RunRank(size_t rank);

  const LoadedModel& model_;
  std::vector<std::unique_ptr<model::Encoder>> encoders_;  // [rank]
  const model::EncoderBatch* batch_ = nullptr;             // of this Forward
  std::unique_ptr<RankThreads> threads_;                   // null with one rank
};

}  // namespace dray::engine
