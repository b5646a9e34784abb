#include "engine/runner/ranks/rank_links.h"

#include <utility>

#include "model/forward/decoder.h"
#include "parallel/thread_group.h"

namespace dray::engine {
namespace {

// Computing threads of all ranks, or one for each rank whose backend computes elsewhere.
int64_t NumThreads(const Backends& backends) {
  int64_t total = 0;
  for (const auto& backend : backends) {
    const ThreadPool* pool = backend->host_threads();
    total += pool == nullptr ? 1 : pool->max_threads();
  }
  return total;
}

// Connects the ranks [first, first + world) of a stage. `max_count` is Decoder::MaxCount.
Status ConnectStage(const Backends& backends, size_t first, int64_t world, int64_t max_count,
                    std::vector<RankConnections>& ranks) {
  if (world == 1) return OkStatus();
  parallel::ThreadGroupSpec group = {.world = world, .max_count = max_count};
  for (size_t i = 0; i < static_cast<size_t>(world); ++i) {
    group.pools.push_back(backends[first + i]->host_threads());
  }
  DRAY_ASSIGN_OR_RETURN(auto communicators, parallel::MakeThreadGroup(group));
  for (size_t i = 0; i < static_cast<size_t>(world); ++i) {
    ranks[first + i].communicator = std::move(communicators[i]);
  }
  return OkStatus();
}

}  // namespace

void RankConnections::Abort(const Status& reason) const {
  if (communicator != nullptr) communicator->Abort(reason);
  if (from_before != nullptr) from_before->Abort(reason);
  if (to_next != nullptr) to_next->Abort(reason);
}

RankTraffic RankConnections::traffic() const {
  return {.group = communicator == nullptr ? parallel::Traffic() : communicator->traffic(),
          .to_next = to_next == nullptr ? parallel::LinkTraffic() : to_next->traffic()};
}

Result<std::vector<RankConnections>> ConnectRanks(const LoadedModel& model,
                                                  const Backends& backends,
                                                  const RunnerSpec& spec) {
  std::vector<RankConnections> ranks(model.ranks.size());
  const model::ModelConfig& config = model.description.config;
  const auto world = static_cast<size_t>(model.ranks_in_stage());
  const int64_t max_count = model::Decoder::MaxCount(config, spec.step, model.ranks_in_stage());
  for (size_t first = 0; first < ranks.size(); first += world) {
    DRAY_RETURN_IF_ERROR(ConnectStage(backends, first, model.ranks_in_stage(), max_count, ranks));
  }
  // Each rank is linked to the rank of the same number in the next stage. One message may wait in a
  // link while both ranks compute.
  parallel::LinkSpec link_spec;
  link_spec.max_bytes =
      spec.step.max_batch_tokens * config.stack.hidden * static_cast<int64_t>(sizeof(float));
  link_spec.threads = NumThreads(backends);
  for (size_t from = 0; from + world < ranks.size(); ++from) {
    link_spec.from = static_cast<int64_t>(from);
    link_spec.to = static_cast<int64_t>(from + world);
    DRAY_ASSIGN_OR_RETURN(parallel::Link link, parallel::MakeThreadLink(link_spec));
    ranks[from].to_next = std::move(link.sender);
    ranks[from + world].from_before = std::move(link.receiver);
  }
  return ranks;
}

}  // namespace dray::engine
