// The processes of a model's ranks, as the front sees them. They end together. If one of them ends,
// reports an error, or gives no sign of life in time, all others are ended.
//
//   kProcesses   the front starts a process for each rank, and has a socket to each
//   kMpi         the front starts mpirun. The ranks on its machine connect to it. Rank 0, the head,
//                takes its orders; sockets of the others only carry signs of life
//   kMpi, and mpirun has started this process, as rank 0: the head is a thread of this process
//
// Threads: owns one, which starts the processes, since the system ends a child when the thread that
// has started it ends, and watches them. The other functions belong to one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/processes/wire/rank_messages.h"
#include "parallel/processes/child_process.h"
#include "parallel/processes/control_socket.h"
#include "parallel/processes/front_listener.h"

namespace dray::engine {

class RankProcesses {
 public:
  // Starts a process for each rank of the model, and returns when all have loaded their weights. The
  // degrees of `options` are at least 1. `options.progress` is called by another thread. The error
  // of a rank names it. kCancelled if `options.stop` asks to end, kUnsupported if the ranks are the
  // processes of a user's job that have computed another model: they can start MPI only once.
  // kUnavailable if loading, or becoming ready for steps, takes longer than `longest_start`; 0: no limit.
  static Result<std::unique_ptr<RankProcesses>> Start(const LoadModelOptions& options,
                                                      std::chrono::milliseconds longest_start);
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;
  // Ends the processes.
  ~RankProcesses();

  const LoadModelOptions& options() const { return options_; }
  // What Start took.
  std::chrono::milliseconds start_time() const { return start_time_; }
  int64_t num_ranks() const { return static_cast<int64_t>(ranks_.size()); }
  // Whether the ranks are an MPI job.
  bool is_job() const { return options_.ranks.transport == RankTransport::kMpi; }
  // False in a job that a user has started: mpirun ends it with the first process that ends.
  bool may_be_started_again() const { return !has_head_thread_; }
  // The size of the rank's weights, and what the rank computes on.
  RemoteRank Describe(int64_t rank) const;

  // Lets a rank make its cache and join its links; the message's memory files are `descriptors`.
  Status SendRun(int64_t rank, const RunMessage& run, std::span<const int> descriptors);
  // Waits until all ranks are ready for steps.
  Status AwaitReady();
  // `abort` is called with the reason when the processes have failed, before they are ended. It is
  // called at once if that has happened, else by another thread.
  void OnFailure(std::function<void(const Status&)> abort);
  // What each rank has sent (ModelRunner::ReadTraffic), once the ranks have followed an order to
  // report, which the caller has given to all of them since the last call.
  Result<std::vector<RankTraffic>> AwaitTraffic();
  // From now on, processes may end. Those of a job get some seconds for that.
  void ExpectEnd();
  // Why the processes have failed, after an error `found` where their results were awaited. If they
  // have not failed, they do so now.
  Status Explain(const Status& found);

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { kStarting, kLoaded, kReady };

  struct RankProcess {
    std::optional<parallel::ChildProcess> process;  // if the front has started it
    std::optional<parallel::ControlSocket> socket;
    LoadedMessage loaded;
    std::vector<RankTraffic> traffic;  // since the last AwaitTraffic; of a head: of all ranks
    Phase phase = Phase::kStarting;
    Clock::time_point last_sign;  // of life
  };

  RankProcesses(const LoadModelOptions& options, std::chrono::milliseconds longest_start);
  // MASTER_ADDR and MASTER_PORT, unless they are set.
  static std::vector<std::string> MasterVariables();
  // Has the thread end the processes for that reason.
  void RequestFailure(const Status& status);
  Status AwaitPhase(Phase phase);
  bool AllHave(Phase phase) const;

  // The thread.
  void Watch();
  Status StartAll();
  Status StartRank(size_t rank);
  // Of an MPI job (job_start.cc).
  Status StartJob();
  Status StartHeadThread();
  // Takes the processes of a user's job for this group, as only one group ever may.
  static Status TakeUserJob();
  void AcceptRank();
  Status CheckJob();
  void EndJob(const Status& status);
  // Ends this process, which is rank 0 of a job that a user has started: mpirun ends the others then.
  // It cannot tell by itself that they have failed if their machines are out of reach.
  [[noreturn]] static void EndUserJob(const Status& status);
  // Waits for something that happens. An error ends the processes.
  Status WatchOnce();
  Status TakeMessage(size_t rank);
  Status Handle(size_t rank, std::span<const std::byte> message);
  Status CheckSigns() const;
  // The error of a rank that has ended.
  Status EndOf(size_t rank);
  // `failure`, or the end of a process by which it was caused.
  Status CauseOf(const Status& failure, size_t rank);
  void EndAll(const Status& status);
  void AbortLinks(const Status& status);
  void Fail(const Status& status);
  void Wake() const;

  const LoadModelOptions options_;
  const std::chrono::milliseconds longest_start_;
  std::chrono::milliseconds start_time_{0};
  std::vector<RankProcess> ranks_;  // sockets and processes are made before others see them
  parallel::Descriptor wake_;       // an eventfd that the thread waits for
  std::optional<parallel::FrontListener> listener_;  // for the processes that mpirun starts
  std::optional<parallel::ChildProcess> job_;        // mpirun
  const bool has_head_thread_;
  std::thread head_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_, as the phases and the traffic of the ranks are.
  std::optional<Status> failure_;
  Status requested_failure_;
  Status abort_reason_;
  std::function<void(const Status&)> abort_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace dray::engine
