#include "engine/runner/processes/rank_wiring.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/machine/cpu_info.h"
#include "engine/runner/processes/wire/step_codec.h"
#include "engine/runner/ranks/rank_links.h"
#include "parallel/shared_memory_group.h"

namespace dray::engine {
namespace {

using parallel::LinkSpec;
using parallel::SharedMemoryGroup;
using parallel::SharedMemoryLink;

// Pieces that wait for the front while the ranks compute the next ones.
constexpr int64_t kResultDepth = 2;
// A step of one rank may take so many times the limit of a wait between ranks.
constexpr int64_t kStepTimeouts = 10;

class Wiring {
 public:
  Wiring(const LoadedModel& model, const RunnerSpec& spec, const LoadModelOptions& options)
      : model_(model), spec_(spec), options_(options) {}

  // Makes the memory files.
  Status Make() {
    DRAY_RETURN_IF_ERROR(MakeOrders());
    if (is_job()) return MakeResults();
    DRAY_RETURN_IF_ERROR(MakeGroups());
    DRAY_RETURN_IF_ERROR(MakeStageLinks());
    return MakeResults();
  }

  // Gives each rank its files. In an MPI job, the head has the links to the front, and connects the
  // others itself.
  Status Send(RankProcesses& processes) const {
    if (is_job()) {
      return processes.SendRun(
          0, {.spec = spec_},
          std::array{orders_.front().descriptor(), results_.front().descriptor()});
    }
    const int64_t in_stage = model_.ranks_in_stage();
    for (int64_t rank = 0; rank < model_.num_ranks(); ++rank) {
      const int64_t stage = rank / in_stage;
      RunMessage run = {.spec = spec_};
      std::vector<int> files = {orders_[static_cast<size_t>(rank)].descriptor()};
      if (in_stage > 1) files.push_back(groups_[static_cast<size_t>(stage)].descriptor());
      run.has_group = in_stage > 1;
      run.has_before = stage > 0;
      if (run.has_before) files.push_back(LinkFrom(rank - in_stage));
      run.has_next = stage < model_.num_stages - 1;
      if (run.has_next) files.push_back(LinkFrom(rank));
      run.has_state_link = !state_links_.empty() && !(run.has_before && run.has_next);
      if (run.has_state_link) {
        files.push_back(state_links_[static_cast<size_t>(rank % in_stage)].descriptor());
      }
      run.has_results = rank == (model_.num_stages - 1) * in_stage;
      if (run.has_results) files.push_back(results_.front().descriptor());
      DRAY_RETURN_IF_ERROR(processes.SendRun(rank, run, files));
    }
    return OkStatus();
  }

  Result<FrontLinks> JoinFront() const {
    FrontLinks links;
    for (const SharedMemoryLink& order : orders_) {
      DRAY_ASSIGN_OR_RETURN(links.orders.emplace_back(),
                            parallel::JoinAsSender(order.descriptor()));
    }
    DRAY_ASSIGN_OR_RETURN(links.results, parallel::JoinAsReceiver(results_.front().descriptor()));
    return links;
  }

 private:
  bool is_job() const { return options_.ranks.transport == RankTransport::kMpi; }

  // Computing threads of all ranks, also of those of the model's other workers, and the front's.
  int64_t NumThreads() const {
    const int wanted = options_.backend_options.cpu.num_threads;
    const int64_t num_ranks = model_.num_ranks() * options_.ranks.share.count;
    return std::max<int64_t>(wanted > 0 ? wanted : UsableCpuCount(), num_ranks) + 1;
  }

  LinkSpec SpecOf(int64_t from, int64_t to, int64_t max_bytes) const {
    LinkSpec link;
    link.from = from;
    link.to = to;
    link.max_bytes = max_bytes;
    link.send_timeout = options_.ranks.timeout;
    link.threads = NumThreads();
    return link;
  }

  Status MakeOrders() {
    const int64_t num_links = is_job() ? 1 : model_.num_ranks();
    for (int64_t rank = 0; rank < num_links; ++rank) {
      LinkSpec link = SpecOf(rank, rank, MaxStepBytes(spec_));
      link.depth = model_.num_stages + 1;
      link.send_timeout = PieceTimeout(options_);
      DRAY_ASSIGN_OR_RETURN(auto order, SharedMemoryLink::Create(link));
      orders_.push_back(std::move(order));
    }
    return OkStatus();
  }

  Status MakeGroups() {
    const int64_t world = model_.ranks_in_stage();
    if (world == 1) return OkStatus();
    const model::ModelConfig& config = model_.description.config;
    for (int64_t stage = 0; stage < model_.num_stages; ++stage) {
      DRAY_ASSIGN_OR_RETURN(auto group,
                            SharedMemoryGroup::Create(
                                {.world = world,
                                 .max_count = model::Decoder::MaxCount(config, spec_.step, world),
                                 .threads_per_rank = (NumThreads() - 1) / model_.num_ranks()}));
      groups_.push_back(std::move(group));
    }
    return OkStatus();
  }

  // As for threads (rank_links.cc): one message may wait in a link while both ranks compute.
  Status MakeStageLinks() {
    const model::ModelConfig& config = model_.description.config;
    const auto make_link = [&](int64_t from, int64_t to) {
      LinkSpec link = SpecOf(from, to, MaxStreamBytes(config, spec_));
      link.send_timeout = PieceTimeout(options_);
      return SharedMemoryLink::Create(link);
    };
    const int64_t in_stage = model_.ranks_in_stage();
    for (int64_t from = 0; from + in_stage < model_.num_ranks(); ++from) {
      DRAY_ASSIGN_OR_RETURN(auto made, make_link(from, from + in_stage));
      stage_links_.push_back(std::move(made));
    }
    if (!HasStateLinks(config, model_.num_stages)) return OkStatus();
    for (int64_t to = 0; to < in_stage; ++to) {
      DRAY_ASSIGN_OR_RETURN(auto made, make_link(model_.num_ranks() - in_stage + to, to));
      state_links_.push_back(std::move(made));
    }
    return OkStatus();
  }

  // The front may take its time between two pieces; a front that has ended ends its ranks.
  Status MakeResults() {
    const int64_t from = (model_.num_stages - 1) * model_.ranks_in_stage();
    const auto widths = RowWidths::Of(model_.description.config);
    LinkSpec link = SpecOf(from, from, MaxPieceBytes(spec_, widths));
    link.depth = kResultDepth;
    link.send_timeout = std::chrono::milliseconds(0);
    link.receive_timeout = PieceTimeout(options_);
    DRAY_ASSIGN_OR_RETURN(auto made, SharedMemoryLink::Create(link));
    results_.push_back(std::move(made));
    return OkStatus();
  }

  int LinkFrom(int64_t rank) const { return stage_links_[static_cast<size_t>(rank)].descriptor(); }

  const LoadedModel& model_;
  const RunnerSpec& spec_;
  const LoadModelOptions& options_;
  std::vector<SharedMemoryLink> orders_;   // [rank]
  std::vector<SharedMemoryGroup> groups_;  // [stage]; none if a stage has one rank
  std::vector<SharedMemoryLink>
      stage_links_;  // [rank]: to the rank of that number in the next stage
  std::vector<SharedMemoryLink>
      state_links_;  // [rank of a stage]: from the last stage to the first; none without an encoder
  std::vector<SharedMemoryLink> results_;  // one
};

}  // namespace

std::chrono::milliseconds CallTimeout(const LoadModelOptions& options) {
  return options.ranks.timeout * 2;
}

std::chrono::milliseconds PieceTimeout(const LoadModelOptions& options) {
  return options.ranks.timeout * kStepTimeouts * options.pipeline_parallel_degree;
}

Result<FrontLinks> ConnectProcesses(const LoadedModel& model, const RunnerSpec& spec,
                                    RankProcesses& processes) {
  Wiring wiring(model, spec, processes.options());
  DRAY_RETURN_IF_ERROR(wiring.Make());
  DRAY_ASSIGN_OR_RETURN(FrontLinks links, wiring.JoinFront());
  DRAY_RETURN_IF_ERROR(wiring.Send(processes));
  DRAY_RETURN_IF_ERROR(processes.AwaitReady());
  return links;
}

}  // namespace dray::engine
