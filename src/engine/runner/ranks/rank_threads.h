// The threads of a group of ranks in this process. They compute in rounds: the caller begins one, and it
// is over when all ranks are done. So no rank is ahead of the others between two rounds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "base/threads/helper_threads.h"
#include "engine/engine_options.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/ranks/rank_links.h"

namespace dray::engine {

// Threads: one caller at a time. Owns a thread for each rank but the first; they compute only while the
// caller is in Round.
class RankThreads {
 public:
  // What a rank computes in a round. Called on the rank's thread.
  using Body = std::function<Status(size_t rank)>;

  RankThreads(std::vector<RankConnections> connections, Body body);
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;
  ~RankThreads();

  // Starts the threads; called once, before the first round. kResourceExhausted, naming the rank, if the system gives
  // no more of them; there may be no rounds then.
  Status Start(const Backends& backends);
  // Runs the body for every rank, for the first one on the caller's thread. If a rank fails, the whole
  // group ends, since other ranks may wait for it: this round and all later ones return the first
  // rank's error that came, with the rank's number.
  Status Round();
  // Runs `body` as the first rank, after a round; an error has the same effect.
  template <typename Function>
  Status RunFirst(const Function& body) {
    Run(0, body);
    return failure();
  }
  // The error that has ended the group, or ok.
  Status failure() const;
  // What each rank has sent.
  std::vector<RankTraffic> traffic() const;

 private:
  void BeginRound();
  // The thread of a rank.
  void Work(size_t rank);
  template <typename Function>
  void Run(size_t rank, const Function& body) {
    Status status;
    try {
      status = body();
    } catch (const std::exception& error) {
      status = Status(StatusCode::kInternal, error.what());
    }
    if (!status.ok()) Fail(rank, status);
  }
  void Fail(size_t rank, const Status& status);

  std::vector<RankConnections> connections_;
  const Body body_;
  bool stop_ = false;  // the threads read it when num_rounds_ has changed
  alignas(64) std::atomic<uint32_t> num_rounds_{0};
  alignas(64) std::atomic<uint32_t> num_busy_{0};  // threads that have not finished the round yet

  mutable std::mutex mutex_;
  Status failure_;  // guarded by mutex_
  HelperThreads threads_;
};

}  // namespace dray::engine
