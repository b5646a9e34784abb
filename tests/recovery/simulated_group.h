// A group of ranks in the recovery simulation, as a ModelRunner: the front sends steps to ranks over
// a SimulatedNetwork, ranks compute SimulatedModel and send each other their parts, and the front
// collects the results. At each step any rank may die, hang, delay or garble a message. The front
// notices a death, a wrong checksum, or that a step takes too long, and the runner has failed then.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "recovery/simulated_model.h"
#include "recovery/simulated_network.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::testing {

class SimulatedGroup final : public engine::ModelRunner {
 public:
  // `group` is a number that no group had before. The cache begins with random numbers.
  struct Setup {
    SimulatedModel model;
    engine::RunnerSpec spec;
    int64_t group = 0;
  };
  // `network` and `random` must outlive the group.
  SimulatedGroup(const Setup& setup, SimulatedNetwork& network, scheduler::Random& random);
  ~SimulatedGroup() override;

  size_t max_steps_in_flight() const override {
    return static_cast<size_t>(setup_.model.num_stages);
  }
  void Submit(const engine::RunnerStep& step) override;
  engine::StepPiece Collect() override;
  void Abandon() override { in_flight_.clear(); }
  bool replaceable() const override { return true; }

 private:
  struct Rank {
    bool alive = true;
    bool hangs = false;
    int64_t next_step = 0;
    // [step]: what has arrived and is not computed yet.
    std::map<int64_t, std::shared_ptr<const engine::RunnerStep>> work;
    std::map<int64_t, std::vector<uint64_t>> streams;
    // [step][rank of the stage].
    std::map<int64_t, std::map<int64_t, std::vector<uint64_t>>> parts;
    bool has_computed = false;    // its own part of next_step
    std::vector<uint64_t> cache;  // [slot]
  };
  struct InFlight {
    int64_t step = 0;
    std::vector<int32_t> logit_rows;
    std::map<int64_t, std::vector<uint64_t>> replies = {};  // [rank]
    int64_t num_rows_given = 0;
  };

  int64_t StageOf(int64_t rank) const { return rank / setup_.model.ranks_in_stage; }
  bool IsLastStage(int64_t rank) const { return StageOf(rank) == setup_.model.num_stages - 1; }
  Rank& At(int64_t rank) { return ranks_[static_cast<size_t>(rank)]; }

  void Receive(const Message& message);
  void ReceiveAtFront(const Message& message);
  // Sends what a rank has computed, unless a fault hits the rank.
  void Send(int64_t from, Message message);
  void Die(int64_t rank);
  // Computes at a rank as far as what has arrived allows.
  void Work(int64_t rank);
  // What the rank adds to the streams of all rows of a step: [row].
  std::vector<uint64_t> ComputePart(int64_t rank, const engine::RunnerStep& step);
  // All parts of the stage are there: passes the stream on.
  void FinishStep(int64_t rank, const engine::RunnerStep& step);
  void AwaitOldest();
  engine::StepPiece TakePiece();

  Setup setup_;
  SimulatedNetwork& network_;
  scheduler::Random& random_;
  std::vector<Rank> ranks_;
  std::deque<InFlight> in_flight_;  // the oldest first
  int64_t num_submitted_ = 0;
  std::string failure_;        // "": none
  std::vector<float> logits_;  // of the piece handed out last
};

}  // namespace dray::testing
