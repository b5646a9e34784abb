// A deterministic simulation of an engine whose group of ranks keeps failing: from one seed come the
// sizes, the requests, cancellations, faults, and how long restarts take. It drives EngineCore with
// the real scheduler, sampler and speculation over a SimulatedGroup; there are no threads, and the
// only clock is that of the SimulatedNetwork.
//
// Every event of every request must be what the request would get alone on a group that never fails
// (recovery_clients.h). Some requests have a token that ends any rank; of all requests, only these
// may fail, and by name. At the end all blocks of the cache must be free.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/ids.h"
#include "engine/engine_core.h"
#include "engine/recovery/runner_keeper.h"
#include "engine/runner/loaded_model.h"
#include "recovery/recovery_clients.h"
#include "recovery/simulated_group.h"
#include "recovery/simulated_model.h"
#include "recovery/simulated_network.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::testing {

class OracleDrafter;

// What happened in simulations; for the report, and to see that a simulation reaches what it is to
// check.
struct RecoveryCounts {
  int64_t requests = 0;
  int64_t tokens = 0;
  int64_t cancelled = 0;
  int64_t deadly = 0;  // requests that ended because they end ranks
  int64_t restarts = 0;
  int64_t failed_restarts = 0;
  int64_t preemptions = 0;
  int64_t accepted = 0;   // guesses
  int64_t reordered = 0;  // messages
  int64_t stale = 0;      // messages of groups that had ended
  std::array<int64_t, kNumFaults> faults{};

  void Add(const RecoveryCounts& other);
};

class RecoverySimulation {
 public:
  explicit RecoverySimulation(uint64_t seed);

  // Runs to the end. Returns what was wrong first, or "".
  std::string Run();
  RecoveryCounts counts() const;

 private:
  struct Client {
    std::shared_ptr<CheckingSink> sink;
    bool cancelled = false;
    bool deadly = false;
    // Runners that have failed since this request started, or last got a token.
    int64_t num_failures = 0;
    int64_t num_tokens = 0;  // when last looked at
  };

  template <typename... Args>
  void Expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (condition || !error_.empty()) return;
    error_ = fmt::format("round {}: {}", round_, fmt::format(format, std::forward<Args>(args)...));
  }

  void MakeModel();
  Status MakeCore();
  Result<std::unique_ptr<engine::ModelRunner>> MakeGroup(const engine::RunnerSpec& spec);

  void ActAtRandom();
  void Arrive();
  void CancelSome();
  void Step();
  void GoOnWithRestart();
  // Looks at what each request got, and forgets those that are over.
  void LookAtClients();
  void CheckEnd(uint64_t id, const Client& client);
  // Faults pause before they would look like one request's fault, or like a group that never
  // recovers.
  void PauseFaults();

  scheduler::Random random_;
  SimulatedNetwork network_;
  SimulatedModel shape_;
  engine::LoadedModel model_;
  std::unique_ptr<engine::EngineCore> core_;
  OracleDrafter* drafter_ = nullptr;  // the core owns it; null: no speculation
  std::optional<engine::RunnerRestart> restart_;
  int64_t rounds_of_restart_ = 0;
  int64_t num_groups_ = 0;
  int64_t num_fruitless_ = 0;  // runners that were lost or not made since a request advanced
  int64_t fault_rate_ = 1;
  bool has_deadly_ = false;  // a deadly request is open

  std::map<uint64_t, Client> clients_;  // open, by id
  uint64_t last_id_ = 0;
  int64_t arrival_interval_ = 1;
  int64_t round_ = 0;
  RecoveryCounts counts_;
  std::string error_;
};

}  // namespace dray::testing
