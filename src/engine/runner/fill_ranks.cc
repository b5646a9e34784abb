#include "engine/runner/fill_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <exception>
#include <thread>
#include <utility>

namespace dray::engine {
namespace {

Status CheckDegrees(int64_t ranks_in_stage, int64_t num_stages, const model::StackConfig& stack) {
  if (ranks_in_stage < 1 || ranks_in_stage > stack.num_heads) {
    return {StatusCode::kInvalidArgument,
            fmt::format("tensor_parallel_degree is {}, but each rank needs a query head, and the "
                        "model has {}: 1 to {} would do",
                        ranks_in_stage, stack.num_heads, stack.num_heads)};
  }
  if (num_stages < 1 || num_stages > stack.num_layers) {
    return {StatusCode::kInvalidArgument,
            fmt::format("pipeline_parallel_degree is {}, but each stage needs a layer, and the "
                        "model has {}: 1 to {} would do",
                        num_stages, stack.num_layers, stack.num_layers)};
  }
  return OkStatus();
}

// Fills one rank. An error of the allocator must not leave the rank's thread.
Status Fill(RankModel& rank, const model::LoadOptions& options, const MakeRankWeights& make) {
  try {
    DRAY_ASSIGN_OR_RETURN(rank.weights, make(rank, options));
    return OkStatus();
  } catch (const std::exception& error) {
    return {StatusCode::kResourceExhausted, fmt::format("loading weights: {}", error.what())};
  }
}

}  // namespace

Result<RankBackends> BackendsOf(const LoadModelOptions& options, const model::ModelConfig& config) {
  const model::StackConfig& stack = config.stack;
  if (!options.backends.empty()) {
    const size_t count = std::min(options.backends.size(), static_cast<size_t>(stack.num_heads));
    const auto begin = options.backends.begin();
    return RankBackends{.backends = {begin, begin + static_cast<std::ptrdiff_t>(count)}};
  }
  const auto or_natural = [&](int64_t degree, int64_t natural) {
    return degree == LoadModelOptions::kMaxDegree ? natural : degree;
  };
  const int64_t nodes = kernels::NumNaturalRanks(options.backend_options);
  const int64_t ranks_in_stage =
      or_natural(options.tensor_parallel_degree, std::min(nodes, stack.num_heads));
  const int64_t num_stages = or_natural(options.pipeline_parallel_degree, 1);
  DRAY_RETURN_IF_ERROR(CheckDegrees(ranks_in_stage, num_stages, stack));
  auto made =
      kernels::MakeBackends(options.backend_options, static_cast<int>(ranks_in_stage * num_stages),
                            num_stages == 1 ? GroupTurns::kTogether : GroupTurns::kNone);
  if (!made.ok()) {
    return made.status().WithPrefix(num_stages == 1
                                        ? "tensor_parallel_degree"
                                        : "tensor_parallel_degree times pipeline_parallel_degree");
  }
  RankBackends ranks;
  ranks.num_stages = num_stages;
  for (auto& backend : *made) ranks.backends.push_back(std::move(backend));
  return ranks;
}

Status FillRanks(LoadedModel& model, const model::LoadOptions& options,
                 const MakeRankWeights& make) {
  // One for each stage.
  std::vector<std::unique_ptr<std::barrier<>>> barriers;
  for (int64_t stage = 0; stage < model.num_stages; ++stage) {
    barriers.push_back(std::make_unique<std::barrier<>>(model.ranks_in_stage()));
  }
  std::vector<Status> statuses(model.ranks.size());
  const auto fill = [&](size_t idx) {
    RankModel& rank = model.ranks[idx];
    std::barrier<>& together = *barriers[static_cast<size_t>(rank.stage.index)];
    model::LoadOptions of_rank = options;
    of_rank.rank = rank.rank;
    of_rank.stage = rank.stage;
    if (idx > 0) of_rank.progress = nullptr;
    of_rank.before_slot = [&] { together.arrive_and_wait(); };
    statuses[idx] = Fill(rank, of_rank, make);
    // A rank that has failed, or is ready, holds up no others.
    together.arrive_and_drop();
  };
  std::vector<std::thread> threads;
  for (size_t idx = 1; idx < model.ranks.size(); ++idx) {
    threads.emplace_back([&, idx] {
      model.ranks[idx].backend->AdoptThread();
      fill(idx);
    });
  }
  fill(0);
  for (std::thread& thread : threads) thread.join();
  const auto failed =
      std::find_if(statuses.begin(), statuses.end(), [](const Status& s) { return !s.ok(); });
  return failed == statuses.end() ? OkStatus() : *failed;
}

}  // namespace dray::engine
