// A deterministic simulator of the scheduler: from one seed come the options, the arrivals, forks,
// cancels and lost caches, and when the oldest of the steps in flight is run; a fake model computes
// on a fake paged cache, and after every step the rules are checked.
//
// The fake model. The value at a position is a hash of all tokens up to it, made from the value
// that the cache holds for the position before; a new token is a hash of the last value and the
// sample's seed. Each entry reads every slot it depends on. So a wrong block, a missed copy, a slot
// overwritten or not computed gives a wrong value, and every sequence must produce, value by value,
// what it would alone.
//
// Guesses. At random steps some clients propose a few tokens, of which the first ones are right and
// the next, if any, is wrong: wrong values get into the cache, where nobody may ever read them.
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

constexpr uint64_t kPoison = 0xDEADDEADDEADDEADu;

class Simulation {
 public:
  // Up to `max_in_flight` steps are planned before the oldest is run.
  Simulation(uint64_t seed, size_t max_in_flight);

  // Runs to the end. Returns what rule was broken, or "".
  std::string Run();

  int64_t num_events() const { return num_events_; }
  int64_t num_preemptions() const { return scheduler_->num_preemptions(); }
  int64_t num_copies() const { return num_copies_; }
  int64_t num_accepted() const { return num_accepted_; }
  int64_t num_rejected() const { return num_rejected_; }
  // Steps that were planned while others were in flight.
  int64_t num_overlaps() const { return num_overlaps_; }
  // Pieces of prompts that were planned while the piece before was in flight.
  int64_t num_pieces() const { return num_pieces_; }

 private:
  // A step that is planned and not yet run.
  struct StepInFlight {
    const Plan* plan = nullptr;
    int64_t step = 0;                       // unique
    std::vector<BlockId> free_blocks = {};  // when it was planned
  };

  int64_t capacity() const { return int64_t{options_.num_blocks} * options_.block_size; }

  template <typename... Args>
  void Expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (condition || !error_.empty()) return;
    error_ = fmt::format("step {}: {}", step_, fmt::format(format, std::forward<Args>(args)...));
  }

  void ActAtRandom();
  void Arrive();
  Client* PickClient();
  void ForkSome();
  void CancelSome();
  void LoseCache();
  void Stop(Client& client);
  void Step();
  // False if there is nothing to plan.
  bool SubmitPlan();
  void TakePreemption(const Plan& plan, SequenceId id);
  // All of it happens now, so that what other plans did to its blocks meanwhile would be seen.
  void RunOldest();

  // Proposes at times more guesses than fit, for sequences that lack more than one token, or for
  // unknown sequences.
  void Propose();

  // simulation_checks.cc.
  int64_t NumProposed(SequenceId id) const;
  // Limits, order, and progress of the first in line.
  void CheckPlan(const Plan& plan);
  void CheckEntry(Client& client, const PlanEntry& entry);
  void CheckDrafts(const Client& client, const PlanEntry& entry);
  // The first running sequence advances in every step. No sequence is admitted before one that
  // could have been admitted instead. A decode waits only if there is no block for it.
  void CheckFairness(const Plan& plan, const Order* last_admitted);
  // Whether the first of the running sequences may have no part in the plan.
  bool MayStandStill(const Client& first) const;
  // Nothing is written to a block that another sequence has in flight.
  void CheckBlocksInFlight(const Plan& plan);

  std::vector<BlockId> FreeBlocks() const;
  // The content of a free block must not matter.
  void PoisonBlock(BlockId block);
  void CopyBlock(const BlockCopy& copy);
  size_t Slot(const PlanEntry& entry, int64_t position) const;

  // No slot may be written by two entries of a step.
  void MarkWrites(const StepInFlight& step);
  void Compute(const PlanEntry& entry, int64_t step);

  // Returns how many guesses, from the first on, are what the client would have sampled.
  int64_t ComputeDrafts(const Client& client, const PlanEntry& entry);

  // The input token of a position. Tokens of the prompt are their own position; the others were
  // sampled.
  uint64_t TokenAt(const Client& client, int64_t position) const;

  // One new token after the accepted ones, at times a few more, which are still to be computed.
  void SampleTokens(Client& client, uint64_t value, int64_t num_accepted);
  void CancelInFlight(const Plan& plan);
  void EraseCancelled();

  // Expects that exactly those sequences end that should, each once.
  void Finish();

  // Every step moves the first in line by a token, so the steps are bounded by the tokens left,
  // twice over because a fork may wait for a later arrival to end.
  void Drain();

  Random random_;
  size_t max_in_flight_;
  SchedulerOptions options_;
  int64_t arrival_interval_ = 1;
  std::optional<Scheduler> scheduler_;
  std::map<SequenceId, Client> clients_;
  std::vector<uint64_t> cache_;  // by slot
  std::vector<int64_t> writer_;  // by slot: the last step that wrote it
  std::deque<StepInFlight> in_flight_;
  std::vector<DraftProposal> proposals_;
  std::vector<SequenceResult> results_;
  std::vector<SequenceId> planned_;
  uint64_t next_id_ = 1;
  int64_t step_ = 0;
  int64_t num_events_ = 0;
  int64_t num_copies_ = 0;
  int64_t num_accepted_ = 0;
  int64_t num_rejected_ = 0;
  int64_t num_overlaps_ = 0;
  int64_t num_pieces_ = 0;
  std::string error_;
};

}  // namespace dray::scheduler
