#include "engine/runner/processes/rank_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/runner/loaded_model.h"
#include "engine/runner/processes/mpi_place.h"
#include "engine/runner/processes/mpi_rank.h"
#include "engine/runner/processes/pulse.h"
#include "engine/runner/processes/rank_loop.h"
#include "engine/runner/processes/rank_share.h"
#include "engine/runner/processes/rank_wiring.h"
#include "engine/runner/processes/wire/rank_messages.h"
#include "parallel/processes/child_process.h"
#include "parallel/processes/control_socket.h"
#include "parallel/processes/front_listener.h"
#include "parallel/shared_memory_group.h"

namespace dray::engine {
namespace {

using parallel::ControlSocket;

constexpr int kExitFailed = 1;

// The memory files of a run message, in their order.
class Files {
 public:
  explicit Files(const std::vector<parallel::Descriptor>& files) : files_(files) {}
  // -1, which no file has, behind the last one.
  int Next() { return next_ < files_.size() ? files_[next_++].value() : -1; }

 private:
  const std::vector<parallel::Descriptor>& files_;
  size_t next_ = 0;
};

class RankProcess {
 public:
  explicit RankProcess(const ControlSocket& front) : front_(front) {}

  Status Run() {
    DRAY_RETURN_IF_ERROR(Load());
    DRAY_ASSIGN_OR_RETURN(const auto message, front_.Receive());
    DRAY_ASSIGN_OR_RETURN(const RunMessage run, DecodeRun(message.bytes));
    DRAY_RETURN_IF_ERROR(Connect(run, message.descriptors));
    DRAY_RETURN_IF_ERROR(front_.Send(EncodeKind(RankMessageKind::kReady)));
    Status status = RunRankLoop(duties_);
    // The others do not wait for their time limits.
    if (!status.ok()) connections_.Abort(status);
    return status;
  }

 private:
  Status Load() {
    DRAY_ASSIGN_OR_RETURN(const auto message, front_.Receive());
    DRAY_ASSIGN_OR_RETURN(options_, DecodeLoad(message.bytes));
    TakeShare(*options_.only_rank,
              options_.tensor_parallel_degree * options_.pipeline_parallel_degree,
              options_.ranks.share, options_.backend_options.cpu);
    options_.progress = [this](uint64_t done, uint64_t total) {
      static_cast<void>(front_.TrySend(EncodeProgress({done, total})));
    };
    DRAY_ASSIGN_OR_RETURN(model_, LoadModel(options_));
    const RankModel& rank = model_->ranks.front();
    return front_.Send(EncodeLoaded({{rank.weight_bytes()}, rank.backend->Describe()}));
  }

  Status Connect(const RunMessage& run, const std::vector<parallel::Descriptor>& descriptors) {
    RankModel& rank = model_->ranks.front();
    rank.backend->AdoptThread();
    Files files(descriptors);
    DRAY_ASSIGN_OR_RETURN(orders_, parallel::JoinAsReceiver(files.Next()));
    if (run.has_group) {
      DRAY_ASSIGN_OR_RETURN(connections_.communicator, parallel::JoinSharedMemoryGroup(
                                                           {.descriptor = files.Next(),
                                                            .rank = rank.rank.index,
                                                            .timeout = CallTimeout(options_),
                                                            .pool = rank.backend->host_threads()}));
    }
    if (run.has_before) {
      DRAY_ASSIGN_OR_RETURN(connections_.from_before, parallel::JoinAsReceiver(files.Next()));
    }
    if (run.has_next) {
      DRAY_ASSIGN_OR_RETURN(connections_.to_next, parallel::JoinAsSender(files.Next()));
    }
    if (run.has_state_link && rank.stage.is_first()) {
      DRAY_ASSIGN_OR_RETURN(connections_.from_last, parallel::JoinAsReceiver(files.Next()));
    } else if (run.has_state_link) {
      DRAY_ASSIGN_OR_RETURN(connections_.to_first, parallel::JoinAsSender(files.Next()));
    }
    if (run.has_results) {
      DRAY_ASSIGN_OR_RETURN(results_, parallel::JoinAsSender(files.Next()));
    }
    const model::ModelConfig& config = model_->description.config;
    DRAY_ASSIGN_OR_RETURN(worker_, RankWorker::Make(config, rank, rank.backend, run.spec,
                                                    connections_.communicator.get()));
    const auto report = [this] {
      return front_.Send(EncodeTraffic(std::array{connections_.traffic()}));
    };
    duties_ = {.report = report,
               .worker = worker_.get(),
               .connections = &connections_,
               .orders = orders_.get(),
               .results = results_.get(),
               .is_last_stage = rank.stage.is_last(),
               .bounds = StepBounds::Of(config, run.spec)};
    return OkStatus();
  }

  const ControlSocket& front_;
  LoadModelOptions options_;
  std::unique_ptr<LoadedModel> model_;
  RankConnections connections_;
  std::unique_ptr<parallel::LinkReceiver> orders_;
  std::unique_ptr<parallel::LinkSender> results_;
  std::unique_ptr<RankWorker> worker_;
  RankDuties duties_;
};

// A process that mpirun has started for a front on one of its machines.
int RunRankOfJob(std::string_view front_address, const MpiPlace& place) {
  SetRankVariables(place);
  const auto front = parallel::ConnectToFront(front_address);
  // Only ranks on the front's machine find it. The head must be one of them.
  if (!front.ok()) {
    const Status status = place.rank > 0 ? RunMpiRank(nullptr) : front.status();
    if (!status.ok()) fmt::print(stderr, "dray rank {}: {}\n", place.rank, status.message());
    return status.ok() ? 0 : kExitFailed;
  }
  const std::string secret(parallel::SecretOf(front_address));
  static_cast<void>(front->Send(EncodeHello({place.rank, secret})));
  const Pulse pulse(*front);
  const Status status = RunMpiRank(place.rank == 0 ? &*front : nullptr);
  if (status.ok()) return 0;
  static_cast<void>(front->Send(EncodeFailed(status)));
  // MPI is not ended in order: the others may never come.
  ::_exit(kExitFailed);
}

Status RunContained(const ControlSocket& front) {
  try {
    return RankProcess(front).Run();
  } catch (const std::exception& error) {
    return {StatusCode::kResourceExhausted, error.what()};
  }
}

// The front ends its ranks itself: a signal to all processes of a terminal or a container must not end
// them while the front still answers requests.
void IgnoreShutdownSignals() {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
}

}  // namespace

int RunRankOfUserJob() {
  IgnoreShutdownSignals();
  const MpiPlace place = MpiPlaceOfProcess().value_or(MpiPlace());
  SetRankVariables(place);
  const Status status = RunMpiRank(nullptr);
  if (status.ok()) return 0;
  fmt::print(stderr, "dray rank {}: {}\n", place.rank, status.message());
  ::_exit(kExitFailed);
}

int RunRankProcess() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* const front_address = std::getenv(kFrontVariable);
  const auto place = MpiPlaceOfProcess();
  if (front_address != nullptr && place) return RunRankOfJob(front_address, *place);
  IgnoreShutdownSignals();
  const ControlSocket front{parallel::Descriptor(parallel::kChildDescriptor)};
  if (!front.TrySend(EncodeKind(RankMessageKind::kAlive))) {
    fmt::print(stderr,
               "dray rank: this command is started by dray itself, for a model whose ranks are "
               "processes (--rank-transport processes)\n");
    return kExitWithoutFront;
  }
  const Pulse pulse(front);
  const Status status = RunContained(front);
  if (status.ok()) return 0;
  static_cast<void>(front.Send(EncodeFailed(status)));
  return kExitFailed;
}

}  // namespace dray::engine
