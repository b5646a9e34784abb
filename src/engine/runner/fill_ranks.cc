#include "engine/runner/fill_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <exception>
#include <tuple>
#include <utility>

#include "base/machine/cpu_info.h"
#include "base/threads/helper_threads.h"
#include "engine/runner/processes/mpi_place.h"
#include "model/config/local_stack.h"

namespace dray::engine {
namespace {

Status CheckDegrees(int64_t ranks_in_stage, int64_t num_stages, const model::ModelConfig& config) {
  const model::StackConfig& stack = config.stack;
  if (ranks_in_stage < 1 || ranks_in_stage > stack.num_heads) {
    return {StatusCode::kInvalidArgument,
            fmt::format("tensor_parallel_degree is {}, but each rank needs a query head, and the "
                        "model has {}: 1 to {} would do",
                        ranks_in_stage, stack.num_heads, stack.num_heads)};
  }
  const int64_t most = model::MaxStages(config);
  if (num_stages >= 1 && num_stages <= most) return OkStatus();
  const auto needs =
      config.encoder
          ? fmt::format(
                "a layer of the encoder and one of the decoder, and the model has {} and {}",
                config.encoder->num_layers, stack.num_layers)
          : fmt::format("a layer, and the model has {}", stack.num_layers);
  return {StatusCode::kInvalidArgument,
          fmt::format("pipeline_parallel_degree is {}, but each stage needs {}: 1 to {} would do",
                      num_stages, needs, most)};
}

// The workers of a model whose ranks are local processes have processors of their own.
Status CheckShares(const LoadModelOptions& options, int64_t num_ranks) {
  const int64_t workers = options.ranks.share.count;
  const kernels::CpuOptions& cpu = options.backend_options.cpu;
  const bool is_local = options.ranks.transport == RankTransport::kProcesses;
  if (workers == 1 || !is_local || cpu.oversubscribe) return OkStatus();
  int64_t most = UsableCpuCount();
  if (cpu.num_threads > 0) most = std::min<int64_t>(most, cpu.num_threads);
  if (workers * num_ranks <= most) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      fmt::format("each rank of {} workers of {} ranks needs a thread on a processor, but there "
                  "are {} of them: set maxWorkers to at most {}, or set oversubscribe to let "
                  "ranks share processors",
                  workers, num_ranks, most, std::max<int64_t>(1, most / num_ranks))};
}

// If the ranks are other processes, the backends have one thread each, which stay where the system
// puts them: the processors are for those processes. If local processes have too few threads or
// processors, MakeBackends says so; mpirun has its own rules for its machines.
kernels::BackendOptions BackendOptionsOf(const LoadModelOptions& options, int64_t num_ranks) {
  kernels::BackendOptions backend = options.backend_options;
  if (options.ranks.transport == RankTransport::kThreads) return backend;
  const bool is_local = options.ranks.transport == RankTransport::kProcesses;
  const auto one_each = [&](int threads) {
    const auto all = static_cast<int>(num_ranks);
    return threads == 0 || !is_local ? all : std::min(threads, all);
  };
  kernels::CpuOptions& cpu = backend.cpu;
  cpu.num_threads = one_each(cpu.num_threads);
  cpu.num_prompt_threads = one_each(cpu.num_prompt_threads);
  cpu.pin_threads = false;
  cpu.oversubscribe = cpu.oversubscribe || !is_local;
  return backend;
}

// The degrees that `options` ask for: of ranks in a stage, and of stages.
std::pair<int64_t, int64_t> DegreesOf(const LoadModelOptions& options, int64_t num_heads) {
  const auto is_max = [](int64_t degree) { return degree == LoadModelOptions::kMaxDegree; };
  const int64_t in_stage = options.tensor_parallel_degree;
  const int64_t stages = options.pipeline_parallel_degree;
  const auto place = MpiPlaceOfProcess();
  if (options.ranks.transport == RankTransport::kMpi && place) {
    const bool is_open = (in_stage == 1 || is_max(in_stage)) && (stages == 1 || is_max(stages));
    if (is_open) return {place->local_world, place->world / place->local_world};
    const auto others = [&](int64_t degree) { return std::max<int64_t>(1, place->world / degree); };
    return {is_max(in_stage) ? others(stages) : in_stage,
            is_max(stages) ? others(in_stage) : stages};
  }
  const int64_t nodes = kernels::NumNaturalRanks(options.backend_options);
  return {is_max(in_stage) ? std::min(nodes, num_heads) : in_stage, is_max(stages) ? 1 : stages};
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
  RankBackends ranks;
  if (!options.backends.empty()) {
    const size_t count = std::min(options.backends.size(), static_cast<size_t>(stack.num_heads));
    const auto begin = options.backends.begin();
    ranks.backends = {begin, begin + static_cast<std::ptrdiff_t>(count)};
    ranks.ranks_in_stage = static_cast<int64_t>(count);
    return ranks;
  }
  std::tie(ranks.ranks_in_stage, ranks.num_stages) = DegreesOf(options, stack.num_heads);
  DRAY_RETURN_IF_ERROR(CheckDegrees(ranks.ranks_in_stage, ranks.num_stages, config));
  const int64_t num_backends = options.only_rank ? 1 : ranks.ranks_in_stage * ranks.num_stages;
  ranks.first_rank = options.only_rank.value_or(0);
  DRAY_RETURN_IF_ERROR(CheckShares(options, num_backends));
  auto made =
      kernels::MakeBackends(BackendOptionsOf(options, num_backends), static_cast<int>(num_backends),
                            ranks.num_stages == 1 ? GroupTurns::kTogether : GroupTurns::kNone);
  if (!made.ok()) {
    return made.status().WithPrefix(ranks.num_stages == 1
                                        ? "tensor_parallel_degree"
                                        : "tensor_parallel_degree times pipeline_parallel_degree");
  }
  for (auto& backend : *made) ranks.backends.push_back(std::move(backend));
  return ranks;
}

Status FillRanks(LoadedModel& model, const model::LoadOptions& options,
                 const MakeRankWeights& make) {
  // [stage]. A process that is one rank waits for no other.
  std::vector<std::unique_ptr<std::barrier<>>> barriers;
  for (int64_t stage = 0; stage < model.num_stages; ++stage) {
    const auto of_stage =
        std::count_if(model.ranks.begin(), model.ranks.end(),
                      [&](const RankModel& rank) { return rank.stage.index == stage; });
    barriers.push_back(std::make_unique<std::barrier<>>(of_stage));
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
  // A rank waits for the others of its stage, so no rank begins before all of them have threads.
  enum class Start : uint8_t { kUndecided, kAll, kNone };
  std::atomic<Start> start{Start::kUndecided};
  const auto decide = [&](Start decision) {
    start = decision;
    start.notify_all();
  };
  HelperThreads threads;
  for (size_t idx = 1; idx < model.ranks.size(); ++idx) {
    Status started = threads.Start("to load ranks", [&, idx] {
      model.ranks[idx].backend->AdoptThread();
      start.wait(Start::kUndecided);
      if (start == Start::kAll) fill(idx);
    });
    if (started.ok()) continue;
    decide(Start::kNone);
    return started;
  }
  decide(Start::kAll);
  fill(0);
  threads.Join();
  const auto failed =
      std::find_if(statuses.begin(), statuses.end(), [](const Status& s) { return !s.ok(); });
  return failed == statuses.end() ? OkStatus() : *failed;
}

}  // namespace dray::engine
