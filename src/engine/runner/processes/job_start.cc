// The part of RankProcesses that is for MPI jobs.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/runner/processes/admission.h"
#include "engine/runner/processes/mpi_place.h"
#include "engine/runner/processes/mpi_rank.h"
#include "engine/runner/processes/rank_processes.h"
#include "parallel/mpi/mpi_library.h"

namespace dray::engine {
namespace {

using std::chrono::milliseconds;

// How long the ranks of a job may take to end in order, and mpirun to end a job.
constexpr milliseconds kJobEndTime(5000);
// How long rank 0 of a user's job answers requests with the reason, after the job has failed.
constexpr milliseconds kLastAnswersTime(500);
constexpr int kExitFailed = 1;
// How long mpirun may take to end a job by itself after a failure.
constexpr milliseconds kJobAbortTime(1000);

// The program that mpirun starts, on every machine of the job under the same path.
std::string ProgramOf(const RankOptions& ranks) {
  if (!ranks.program.empty()) return ranks.program.string();
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "dray";
  // The system's mark of a program whose file was replaced while it runs. The ranks find out whether
  // the new file is of the same version.
  constexpr std::string_view kReplaced = " (deleted)";
  std::string path = own.string();
  if (path.ends_with(kReplaced)) path.resize(path.size() - kReplaced.size());
  return path;
}

std::vector<std::string> MpirunArguments(const LoadModelOptions& options, size_t world) {
  // dray divides the processors of a machine itself.
  std::vector<std::string> arguments = {"-np", std::to_string(world), "--bind-to", "none"};
  if (!options.ranks.hostfile.empty()) {
    arguments.emplace_back("--hostfile");
    arguments.push_back(options.ranks.hostfile.string());
  }
  if (::geteuid() == 0) arguments.emplace_back("--allow-run-as-root");
  if (options.backend_options.cpu.oversubscribe) arguments.emplace_back("--oversubscribe");
  for (const char* variable : {kFrontVariable, "MASTER_ADDR", "MASTER_PORT"}) {
    arguments.emplace_back("-x");
    arguments.emplace_back(variable);
  }
  arguments.push_back(ProgramOf(options.ranks));
  arguments.emplace_back("rank");
  return arguments;
}

// Open MPI's daemons on several machines notice by TCP's keep-alive probes that a machine cannot be
// reached any more, and end its ranks. They begin after half of the limit of ranks, and send three
// probes in the other half; Open MPI's own limit is eight minutes. What the user has set stays.
std::vector<std::string> KeepAliveVariables(std::chrono::milliseconds timeout) {
  constexpr int64_t kProbes = 3;
  const int64_t seconds =
      std::max<int64_t>(2, std::chrono::ceil<std::chrono::seconds>(timeout).count());
  const std::pair<const char*, int64_t> values[] = {
      {"OMPI_MCA_oob_tcp_keepalive_time", seconds / 2},
      {"OMPI_MCA_oob_tcp_keepalive_intvl", std::max<int64_t>(1, seconds / 2 / kProbes)},
      {"OMPI_MCA_oob_tcp_keepalive_probes", kProbes}};
  std::vector<std::string> variables;
  for (const auto& [name, value] : values) {
    if (std::getenv(name) == nullptr) variables.push_back(fmt::format("{}={}", name, value));
  }
  return variables;
}

}  // namespace

Status RankProcesses::StartJob() {
  // Without the library no rank starts, and mpirun would print pages about that behind the reason.
  DRAY_RETURN_IF_ERROR(
      parallel::CheckMpiLibrary(parallel::MpiLibraryBeside(ProgramOf(options_.ranks))));
  DRAY_ASSIGN_OR_RETURN(listener_, parallel::FrontListener::Make());
  parallel::ChildSpec spec;
  spec.program = "mpirun";
  spec.arguments = MpirunArguments(options_, ranks_.size());
  spec.environment = MasterVariables();
  for (std::string& variable : KeepAliveVariables(options_.ranks.timeout)) {
    spec.environment.push_back(std::move(variable));
  }
  spec.environment.push_back(fmt::format("{}={}", kFrontVariable, listener_->address()));
  auto job = parallel::ChildProcess::Start(spec);
  if (!job.ok()) {
    return job.status().WithPrefix(
        "to run ranks over MPI, install Open MPI (Debian, Ubuntu: apt-get install openmpi-bin)");
  }
  job_ = std::move(*job);
  return OkStatus();
}

Status RankProcesses::TakeUserJob() {
  static std::atomic<bool> taken = false;
  if (!taken.exchange(true)) return OkStatus();
  return {
      StatusCode::kUnsupported,
      "the processes of this mpirun compute a model already, or have done so, and serve no other "
      "one: start dray serve without mpirun and with rank_transport mpi, or another server"};
}

Status RankProcesses::StartHeadThread() {
  SetRankVariables(*MpiPlaceOfProcess());
  DRAY_ASSIGN_OR_RETURN(auto ends, parallel::ControlSocket::MakePair());
  ranks_.front().socket = std::move(ends.first);
  head_ = std::thread([front = std::move(ends.second)] {
    const Status status = RunMpiRank(&front);
    if (!status.ok()) static_cast<void>(front.Send(EncodeFailed(status)));
  });
  return ranks_.front().socket->Send(EncodeLoad(options_));
}

void RankProcesses::AcceptRank() {
  auto admitted = AdmitRank(*listener_, num_ranks());
  if (!admitted) return;
  RankProcess& rank = ranks_[static_cast<size_t>(admitted->rank)];
  if (rank.socket) return;
  rank.socket = std::move(admitted->socket);
  rank.last_sign = Clock::now();
  // If the head has ended already, that is noticed at its socket.
  if (admitted->rank == 0) static_cast<void>(rank.socket->Send(EncodeLoad(options_)));
}

void RankProcesses::EndUserJob(const Status& status) {
  fmt::print(stderr, "dray rank 0: {}\n", status.message());
  std::fflush(stderr);
  std::this_thread::sleep_for(kLastAnswersTime);
  ::_exit(kExitFailed);
}

Status RankProcesses::CheckJob() {
  if (!job_) return OkStatus();
  const auto end = job_->AwaitEnd(milliseconds(0));
  if (!end) return OkStatus();
  std::string message = fmt::format("mpirun {}; its messages are in the log", *end);
  const bool none_has_come =
      std::none_of(ranks_.begin(), ranks_.end(),
                   [](const RankProcess& rank) { return rank.socket.has_value(); });
  if (none_has_come) {
    // Only mpirun knows the processors of all machines.
    message += fmt::format(
        "; if it has fewer slots than the {} ranks need, set tensor_parallel_degree or "
        "pipeline_parallel_degree so that they are at most as many, name more slots in hostfile, "
        "or "
        "set oversubscribe",
        ranks_.size());
  }
  return {StatusCode::kUnavailable, std::move(message)};
}

void RankProcesses::EndJob(const Status& status) {
  if (job_) {
    // Ranks that have had the order to end do so, and mpirun ends a job of which a rank has ended.
    if (!job_->AwaitEnd(status.ok() ? kJobEndTime : kJobAbortTime)) job_->Signal(SIGTERM);
    job_->AwaitEnd(kJobEndTime);
    job_.reset();
  }
  for (RankProcess& rank : ranks_) rank.socket.reset();
  if (head_.joinable()) head_.join();
}

}  // namespace dray::engine
