// How the ranks of a model are connected: the ranks of a stage by a communicator, and the ranks of
// the same number in two stages, one after the other, by a link.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"
#include "parallel/communicator.h"
#include "parallel/link.h"

namespace dray::engine {

// What one rank of a model has of these; what it does not need is null.
struct RankConnections {
  std::unique_ptr<parallel::Communicator> communicator;  // if its stage has several ranks
  std::unique_ptr<parallel::LinkReceiver> from_before;   // if there is a stage before its own
  std::unique_ptr<parallel::LinkSender> to_next;         // if there is a stage after its own

  // Ends everything that this rank is connected to: its calls and those of its neighbours fail with
  // `reason`. Any thread may call it.
  void Abort(const Status& reason) const;
  // What the rank has sent. Only while it does not compute.
  RankTraffic traffic() const;
};

// Connects ranks that are threads of this process and compute on `backends`; [rank of the model].
Result<std::vector<RankConnections>> ConnectRanks(const LoadedModel& model,
                                                  const Backends& backends, const RunnerSpec& spec);

}  // namespace dray::engine
