// A deterministic simulator of requests with beams in the scheduler: from one seed come the options,
// the requests, which beams are followed, cancels, lost caches, and when the oldest of the steps in
// flight is run. As in simulation.h, a fake model computes on a fake paged cache: the value at a
// position is a hash of all tokens up to it, made from the value that the cache holds for the position
// before. Before an entry is computed, every slot that it depends on is compared with the beam's own
// tokens, so that a wrong block, a missed copy or a slot written by another beam is found.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::scheduler {

class BeamSimulation {
 public:
  // Up to `max_in_flight` steps are planned before the oldest is run.
  BeamSimulation(uint64_t seed, size_t max_in_flight);

  // Runs to the end. Returns what rule was broken, or "".
  std::string Run();

  int64_t num_preemptions() const { return scheduler_->num_preemptions(); }
  int64_t num_copies() const { return num_copies_; }
  // How often a beam was continued as another one.
  int64_t num_moves() const { return num_moves_; }

 private:
  struct Beam {
    SequenceId id;
    std::vector<uint64_t> values;  // by position, of all known tokens
    bool held = false;
  };
  struct Request {
    std::vector<Beam> beams;  // the first one alone, before the first choice
    size_t num_beams = 1;
    int64_t num_prompt_tokens = 0;
    int64_t max_new_tokens = 0;
    bool cancelled = false;
  };

  template <typename... Args>
  void Expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (condition || !error_.empty()) return;
    error_ = fmt::format("step {}: {}", step_, fmt::format(format, std::forward<Args>(args)...));
  }

  void Arrive();
  void CancelSome();
  bool SubmitPlan();
  // The oldest step is computed and its results are taken. kLost: the cache is lost behind some of its
  // results.
  enum class Fate { kComputed, kLost };
  void RunOldest(Fate fate);
  void Compute(const PlanEntry& entry);
  SequenceResult ResultOf(const PlanEntry& entry);
  // Continues or ends the requests whose beams are all held.
  void ChooseBeams();
  void Continue(Request& request);
  void Forget(const Request& request);
  void PoisonFreeBlocks();
  Beam* Find(SequenceId id);
  size_t Slot(const PlanEntry& entry, int64_t position) const;

  Random random_;
  size_t max_in_flight_;
  SchedulerOptions options_;
  std::optional<Scheduler> scheduler_;
  std::map<uint64_t, Request> requests_;
  std::map<SequenceId, uint64_t> request_of_;
  std::vector<uint64_t> cache_;  // by slot
  std::deque<const Plan*> in_flight_;
  uint64_t next_id_ = 1;
  int64_t num_to_come_ = 0;
  int64_t step_ = 0;
  int64_t num_copies_ = 0;
  int64_t num_moves_ = 0;
  std::string error_;
};

}  // namespace dray::scheduler
