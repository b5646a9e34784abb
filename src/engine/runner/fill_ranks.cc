#include "engine/runner/fill_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <exception>
#include <thread>
#include <utility>

namespace dray::engine {
namespace {

Status CheckDegree(int64_t degree, const model::ModelConfig& config) {
  const int64_t heads = config.stack.num_heads;
  if (degree >= 1 && degree <= heads) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("tensor_parallel_degree is {}, but each rank needs a query head, and the "
                      "model has {}: 1 to {} would do",
                      degree, heads, heads)};
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

Result<Backends> BackendsOf(const LoadModelOptions& options, const model::ModelConfig& config) {
  const auto heads = static_cast<size_t>(config.stack.num_heads);
  if (!options.backends.empty()) {
    const size_t count = std::min(options.backends.size(), heads);
    const auto begin = options.backends.begin();
    return Backends(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  int64_t degree = options.tensor_parallel_degree;
  if (degree == LoadModelOptions::kMaxDegree) {
    degree = std::min<int64_t>(kernels::NumNaturalRanks(options.backend_options),
                               config.stack.num_heads);
  }
  DRAY_RETURN_IF_ERROR(CheckDegree(degree, config));
  auto made = kernels::MakeBackends(options.backend_options, static_cast<int>(degree));
  if (!made.ok()) return made.status().WithPrefix("tensor_parallel_degree");
  Backends backends;
  for (auto& backend : *made) backends.push_back(std::move(backend));
  return backends;
}

Status FillRanks(LoadedModel& model, const model::LoadOptions& options,
                 const MakeRankWeights& make) {
  const auto world = model.num_ranks();
  std::barrier together(world);
  std::vector<Status> statuses(static_cast<size_t>(world));
  const auto fill = [&](int64_t index) {
    const auto idx = static_cast<size_t>(index);
    model::LoadOptions of_rank = options;
    of_rank.rank = {index, world};
    if (index > 0) of_rank.progress = nullptr;
    of_rank.before_slot = [&] { together.arrive_and_wait(); };
    statuses[idx] = Fill(model.ranks[idx], of_rank, make);
    // A rank that has failed, or is ready, holds up no others.
    together.arrive_and_drop();
  };
  std::vector<std::thread> threads;
  for (int64_t index = 1; index < world; ++index) {
    threads.emplace_back([&, index] {
      model.ranks[static_cast<size_t>(index)].backend->AdoptThread();
      fill(index);
    });
  }
  fill(0);
  for (std::thread& thread : threads) thread.join();
  const auto failed =
      std::find_if(statuses.begin(), statuses.end(), [](const Status& s) { return !s.ok(); });
  return failed == statuses.end() ? OkStatus() : *failed;
}

}  // namespace dray::engine
