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
  if (from_last != nullptr) from_last->Abort(reason);
  if (to_first != nullptr) to_first->Abort(reason);
}

RankTraffic RankConnections::traffic() const {
  const auto& next = to_next == nullptr ? to_first : to_next;
  return {.group = communicator == nullptr ? parallel::Traffic() : communicator->traffic(),
          .to_next = next == nullptr ? parallel::LinkTraffic() : next->traffic()};
}

int64_t MaxStreamBytes(const model::ModelConfig& config, const RunnerSpec& spec) {
  return spec.step.max_batch_tokens * config.stack.hidden * static_cast<int64_t>(sizeof(float));
}

bool HasStateLinks(const model::ModelConfig& config, int64_t num_stages) {
  return config.encoder.has_value() && num_stages > 1;
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
  link_spec.max_bytes = MaxStreamBytes(config, spec);
  link_spec.threads = NumThreads(backends);
  const auto make_link = [&](size_t from, size_t to) {
    link_spec.from = static_cast<int64_t>(from);
    link_spec.to = static_cast<int64_t>(to);
    return parallel::MakeThreadLink(link_spec);
  };
  for (size_t from = 0; from + world < ranks.size(); ++from) {
    DRAY_ASSIGN_OR_RETURN(parallel::Link link, make_link(from, from + world));
    ranks[from].to_next = std::move(link.sender);
    ranks[from + world].from_before = std::move(link.receiver);
  }
  if (!HasStateLinks(config, model.num_stages)) return ranks;
  for (size_t to = 0; to < world; ++to) {
    const size_t from = ranks.size() - world + to;
    DRAY_ASSIGN_OR_RETURN(parallel::Link link, make_link(from, to));
    ranks[from].to_first = std::move(link.sender);
    ranks[to].from_last = std::move(link.receiver);
  }
  return ranks;
}

}  // namespace dray::engine
