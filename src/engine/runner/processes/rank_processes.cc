#include "engine/runner/processes/rank_processes.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stop_token>
#include <string>
#include <utility>

#include "base/check.h"
#include "engine/runner/processes/mpi_place.h"

namespace dray::engine {
namespace {

using std::chrono::milliseconds;

// How long a process may take to end after its socket has closed, or another rank has failed, before
// that counts as a failure of its own.
constexpr milliseconds kEndTime(200);
// How long the front waits for the thread's explanation of an error.
constexpr milliseconds kExplainTime(2000);
// mpirun's end is noticed as soon.
constexpr int64_t kLongestPeriodMs = 100;
// What launchers of ranks name by default. dray opens no port for its ranks.
constexpr const char* kMasterPort = "29500";

Status Unavailable(std::string text) { return {StatusCode::kUnavailable, std::move(text)}; }

// The variables by which programs find out which rank they are, as under DJLServing.
std::vector<std::string> RankVariables(size_t rank, size_t world) {
  return {fmt::format("RANK={}", rank), fmt::format("LOCAL_RANK={}", rank),
          fmt::format("WORLD_SIZE={}", world), fmt::format("LOCAL_WORLD_SIZE={}", world)};
}

}  // namespace

Result<std::unique_ptr<RankProcesses>> RankProcesses::Start(const LoadModelOptions& options,
                                                            milliseconds longest_start) {
  DRAY_CHECK(options.tensor_parallel_degree >= 1 && options.pipeline_parallel_degree >= 1);
  const auto start = Clock::now();
  std::unique_ptr<RankProcesses> processes(new RankProcesses(options, longest_start));
  if (processes->has_head_thread_) DRAY_RETURN_IF_ERROR(TakeUserJob());
  if (processes->wake_.value() < 0) {
    return Status(
        StatusCode::kResourceExhausted,
        "cannot make an event to watch the ranks' processes; raise the process's limit of "
        "open files (ulimit -n)");
  }
  processes->thread_ = std::thread([watched = processes.get()] { watched->Watch(); });
  const std::stop_callback on_stop(options.stop, [watched = processes.get()] {
    watched->RequestFailure({StatusCode::kCancelled, "loading it was stopped"});
  });
  DRAY_RETURN_IF_ERROR(processes->AwaitPhase(Phase::kLoaded));
  processes->start_time_ = std::chrono::ceil<milliseconds>(Clock::now() - start);
  return processes;
}

RankProcesses::RankProcesses(const LoadModelOptions& options, milliseconds longest_start)
    : options_(options),
      longest_start_(longest_start),
      ranks_(
          static_cast<size_t>(options.tensor_parallel_degree * options.pipeline_parallel_degree)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      has_head_thread_(is_job() && MpiPlaceOfProcess().has_value()) {}

std::vector<std::string> RankProcesses::MasterVariables() {
  std::vector<std::string> variables;
  if (std::getenv("MASTER_ADDR") == nullptr) variables.emplace_back("MASTER_ADDR=127.0.0.1");
  if (std::getenv("MASTER_PORT") == nullptr) {
    variables.push_back(fmt::format("MASTER_PORT={}", kMasterPort));
  }
  return variables;
}

RankProcesses::~RankProcesses() {
  ExpectEnd();
  if (thread_.joinable()) thread_.join();
}

RemoteRank RankProcesses::Describe(int64_t rank) const {
  const LoadedMessage& loaded = ranks_[is_job() ? 0 : static_cast<size_t>(rank)].loaded;
  return {.weight_bytes = loaded.weight_bytes[is_job() ? static_cast<size_t>(rank) : 0],
          .backend = loaded.backend};
}

Status RankProcesses::SendRun(int64_t rank, const RunMessage& run,
                              std::span<const int> descriptors) {
  const RankProcess& process = ranks_[static_cast<size_t>(rank)];
  const Status sent = process.socket->Send(EncodeRun(run), descriptors);
  return sent.ok() ? sent : Explain(sent.WithPrefix(fmt::format("rank {}", rank)));
}

Status RankProcesses::AwaitReady() { return AwaitPhase(Phase::kReady); }

Result<std::vector<RankTraffic>> RankProcesses::AwaitTraffic() {
  // The head of a job tells the traffic of all.
  const auto told = is_job() ? std::span(ranks_).first(1) : std::span(ranks_);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return failure_.has_value() ||
           std::none_of(told.begin(), told.end(),
                        [](const RankProcess& rank) { return rank.traffic.empty(); });
  });
  if (failure_) return *failure_;
  std::vector<RankTraffic> all;
  for (RankProcess& rank : told) {
    all.insert(all.end(), rank.traffic.begin(), rank.traffic.end());
    rank.traffic.clear();
  }
  return all;
}

void RankProcesses::OnFailure(std::function<void(const Status&)> abort) {
  const std::lock_guard lock(mutex_);
  if (!abort_reason_.ok()) abort(abort_reason_);
  abort_ = std::move(abort);
}

void RankProcesses::ExpectEnd() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
}

Status RankProcesses::Explain(const Status& found) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kExplainTime, [&] { return failure_.has_value(); });
  if (failure_) return *failure_;
  lock.unlock();
  RequestFailure(found);
  lock.lock();
  changed_.wait(lock, [&] { return failure_.has_value(); });
  return *failure_;
}

void RankProcesses::RequestFailure(const Status& status) {
  {
    const std::lock_guard lock(mutex_);
    requested_failure_ = status;
  }
  Wake();
}

Status RankProcesses::AwaitPhase(Phase phase) {
  const milliseconds limit = longest_start_;
  std::unique_lock lock(mutex_);
  const auto has_come = [&] { return failure_.has_value() || AllHave(phase); };
  if (limit.count() == 0) {
    changed_.wait(lock, has_come);
  } else if (!changed_.wait_for(lock, limit, has_come)) {
    lock.unlock();
    RequestFailure(Unavailable(
        fmt::format("the ranks have not {} within {} ms, ten times what their first start took and "
                    "rank_timeout",
                    phase == Phase::kLoaded ? "loaded the model" : "become ready", limit.count())));
    lock.lock();
    changed_.wait(lock, [&] { return failure_.has_value(); });
  }
  return failure_.value_or(OkStatus());
}

bool RankProcesses::AllHave(Phase phase) const {
  // The head of a job has come to a phase when all ranks have.
  return std::all_of(ranks_.begin(), is_job() ? ranks_.begin() + 1 : ranks_.end(),
                     [&](const RankProcess& rank) { return rank.phase >= phase; });
}

void RankProcesses::Wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.value(), &one, sizeof(one));
}

void RankProcesses::Watch() {
  Status status = StartAll();
  while (status.ok()) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_) break;
      status = requested_failure_;
    }
    if (status.ok()) status = WatchOnce();
  }
  if (!status.ok()) AbortLinks(status);
  EndAll(status);
  if (status.ok()) return;
  Fail(status);
  const bool was_stopped = status.code() == StatusCode::kCancelled;
  if (has_head_thread_ && !was_stopped) EndUserJob(status);
}

Status RankProcesses::StartAll() {
  if (has_head_thread_) return StartHeadThread();
  if (is_job()) return StartJob();
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const Status status = StartRank(rank);
    if (!status.ok()) return status.WithPrefix(fmt::format("rank {}", rank));
  }
  return OkStatus();
}

Status RankProcesses::StartRank(size_t rank) {
  DRAY_ASSIGN_OR_RETURN(auto ends, parallel::ControlSocket::MakePair());
  parallel::ChildSpec spec;
  spec.program = options_.ranks.program.empty() ? "/proc/self/exe" : options_.ranks.program;
  spec.arguments = {"rank"};
  spec.environment = RankVariables(rank, ranks_.size());
  for (std::string& variable : MasterVariables()) spec.environment.push_back(std::move(variable));
  spec.descriptor = ends.second.descriptor();
  DRAY_ASSIGN_OR_RETURN(auto process, parallel::ChildProcess::Start(spec));
  RankProcess& started = ranks_[rank];
  started.process = std::move(process);
  started.socket = std::move(ends.first);
  started.last_sign = Clock::now();
  LoadModelOptions of_rank = options_;
  of_rank.only_rank = static_cast<int64_t>(rank);
  return started.socket->Send(EncodeLoad(of_rank));
}

Status RankProcesses::WatchOnce() {
  std::vector<pollfd> waiting;
  for (const RankProcess& rank : ranks_) {
    // A negative descriptor is passed over.
    const int descriptor = rank.socket ? rank.socket->descriptor() : -1;
    waiting.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  }
  waiting.push_back({.fd = wake_.value(), .events = POLLIN, .revents = 0});
  const int listener = listener_ ? listener_->descriptor() : -1;
  waiting.push_back({.fd = listener, .events = POLLIN, .revents = 0});
  const auto period = std::clamp<int64_t>(options_.ranks.timeout.count() / 4, 1, kLongestPeriodMs);
  ::poll(waiting.data(), waiting.size(), static_cast<int>(period));
  if (waiting[ranks_.size()].revents != 0) return OkStatus();
  if (waiting.back().revents != 0) AcceptRank();
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (waiting[rank].revents == 0) continue;
    const Status status = TakeMessage(rank);
    if (!status.ok()) return CauseOf(status, rank);
  }
  DRAY_RETURN_IF_ERROR(CheckJob());
  return CheckSigns();
}

Status RankProcesses::TakeMessage(size_t rank) {
  const auto message = ranks_[rank].socket->Receive();
  if (message.status().code() == StatusCode::kUnavailable) return EndOf(rank);
  ranks_[rank].last_sign = Clock::now();
  const Status status = message.ok() ? Handle(rank, message->bytes) : message.status();
  return status.WithPrefix(fmt::format("rank {}", rank));
}

Status RankProcesses::Handle(size_t rank, std::span<const std::byte> message) {
  DRAY_ASSIGN_OR_RETURN(const RankMessageKind kind, KindOf(message));
  if (kind == RankMessageKind::kFailed) return DecodeFailed(message);
  if (kind == RankMessageKind::kProgress) {
    DRAY_ASSIGN_OR_RETURN(const auto progress, DecodeProgress(message));
    if (rank == 0 && options_.progress) {
      options_.progress(progress.done_bytes, progress.total_bytes);
    }
    return OkStatus();
  }
  const std::lock_guard lock(mutex_);
  if (kind == RankMessageKind::kLoaded) {
    DRAY_ASSIGN_OR_RETURN(LoadedMessage loaded, DecodeLoaded(message));
    if (loaded.weight_bytes.size() != (is_job() ? ranks_.size() : 1)) {
      return {StatusCode::kCorrupt, "it told the sizes of other ranks than there are"};
    }
    ranks_[rank].loaded = std::move(loaded);
    ranks_[rank].phase = Phase::kLoaded;
  }
  if (kind == RankMessageKind::kTraffic) {
    DRAY_ASSIGN_OR_RETURN(auto traffic, DecodeTraffic(message));
    if (traffic.size() != (is_job() ? ranks_.size() : 1)) {
      return {StatusCode::kCorrupt, "it told the traffic of other ranks than there are"};
    }
    ranks_[rank].traffic = std::move(traffic);
  }
  if (kind == RankMessageKind::kReady) ranks_[rank].phase = Phase::kReady;
  changed_.notify_all();
  return OkStatus();
}

Status RankProcesses::CheckSigns() const {
  const auto now = Clock::now();
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const RankProcess& process = ranks_[rank];
    if (has_head_thread_ || !process.socket) continue;
    if (now - process.last_sign <= options_.ranks.timeout) continue;
    const bool is_stopped = process.process && process.process->IsStopped();
    return Unavailable(fmt::format("rank {} {}: no sign of life within {} ms (rank_timeout)", rank,
                                   is_stopped ? "is stopped by a signal" : "hangs or is stopped",
                                   options_.ranks.timeout.count()));
  }
  return OkStatus();
}

Status RankProcesses::EndOf(size_t rank) {
  auto& process = ranks_[rank].process;
  const auto end = process ? process->AwaitEnd(kEndTime) : std::nullopt;
  return Unavailable(
      fmt::format("rank {} {}", rank, end.value_or(is_job() ? "has ended" : "has left its group")));
}

// A rank whose peer has ended reports that, and perhaps sooner than the end of the peer is seen here.
Status RankProcesses::CauseOf(const Status& failure, size_t rank) {
  if (is_job()) return failure;
  const auto deadline = Clock::now() + kEndTime;
  do {
    for (size_t other = 0; other < ranks_.size(); ++other) {
      if (other == rank || !ranks_[other].socket->AwaitPeerEnd(0)) continue;
      const auto end = ranks_[other].process->AwaitEnd(kEndTime);
      if (end && end->find("signal") != std::string::npos) return EndOf(other);
    }
    std::this_thread::sleep_for(milliseconds(5));
  } while (Clock::now() < deadline);
  return failure;
}

void RankProcesses::EndAll(const Status& status) {
  if (is_job()) return EndJob(status);
  for (const RankProcess& rank : ranks_) {
    if (rank.process) rank.process->Signal(SIGKILL);
  }
  for (RankProcess& rank : ranks_) rank.process.reset();
}

void RankProcesses::Fail(const Status& status) {
  const std::lock_guard lock(mutex_);
  failure_ = status;
  changed_.notify_all();
}

// A stopped rank that goes on for a moment, while it is ended, brings no more results.
void RankProcesses::AbortLinks(const Status& status) {
  const std::lock_guard lock(mutex_);
  abort_reason_ = status;
  if (abort_) abort_(status);
}

}  // namespace dray::engine
