#include "engine/encoder/encoder_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/runner/model_runner.h"
#include "engine/runner/ranks/rank_links.h"
#include "model/forward/encoder_memory.h"

namespace dray::engine {
namespace {

Status CheckRanks(const LoadedModel& model) {
  if (model.num_stages == 1 && model.launcher == nullptr) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("the ranks of an encoder are threads of this process that divide its layers, "
                      "but the model has {} stages of {} ranks{}: set pipeline_parallel_degree to "
                      "1, and rank_transport to threads",
                      model.num_stages, model.ranks_in_stage(),
                      model.launcher == nullptr ? "" : " in other processes")};
}

}  // namespace

Result<std::unique_ptr<EncoderRanks>> EncoderRanks::Make(const LoadedModel& model,
                                                         const model::EncoderLimits& limits) {
  const model::ModelConfig& config = model.description.config;
  DRAY_RETURN_IF_ERROR(CheckRanks(model));
  const Backends backends = model.backends();
  RunnerSpec spec;
  spec.step.max_batch_tokens = limits.max_batch_tokens;
  DRAY_ASSIGN_OR_RETURN(auto connections, ConnectRanks(model, backends, spec));
  std::unique_ptr<EncoderRanks> ranks(new EncoderRanks(model));
  for (size_t i = 0; i < model.ranks.size(); ++i) {
    const RankModel& rank = model.ranks[i];
    DRAY_ASSIGN_OR_RETURN(auto encoder,
                          model::Encoder::Make({.config = config,
                                                .stack = rank.stack,
                                                .weights = rank.weights,
                                                .backend = *rank.backend,
                                                .communicator = connections[i].communicator.get(),
                                                .stream = rank.stream},
                                               limits));
    ranks->encoders_.push_back(std::move(encoder));
  }
  if (model.num_ranks() > 1) {
    ranks->threads_ = std::make_unique<RankThreads>(
        backends, std::move(connections),
        [all = ranks.get()](size_t rank) { return all->RunRank(rank); });
  }
  return ranks;
}

int64_t EncoderRanks::WorkingBytes(const LoadedModel& model, const model::EncoderLimits& limits) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  const model::ModelConfig& config = model.description.config;
  const int64_t hidden = config.stack.hidden;
  // The states of a pass in host memory.
  int64_t bytes = limits.max_batch_tokens * hidden * kFloat;
  for (const RankModel& rank : model.ranks) {
    bytes += model::EncoderMemoryBytes(config, rank.stack, limits);
    // A copy of a projection's inputs, packed; the widest ones are those of the feed-forward's output.
    bytes += limits.max_batch_tokens * std::max(hidden, rank.stack.ffn) * kFloat;
  }
  // What the ranks send to each other (parallel/thread_group.h).
  const int64_t world = model.ranks_in_stage();
  if (world > 1) bytes += 3 * world * limits.max_batch_tokens * hidden * kFloat;
  return bytes;
}

Status EncoderRanks::Forward(const model::EncoderBatch& batch) {
  if (threads_ == nullptr) return first().Forward(batch);
  batch_ = &batch;
  return threads_->Round();
}

Status EncoderRanks::RunRank(size_t rank) {
  if (rank == 0) return first().Forward(*batch_);
  kernels::StepTurn turn(*model_.ranks[rank].backend, static_cast<int64_t>(batch_->ids.size()));
  DRAY_RETURN_IF_ERROR(encoders_[rank]->Forward(*batch_));
  return turn.Finish();
}

}  // namespace dray::engine
