// How the ranks of a model are connected: the ranks of a stage by a communicator, and the ranks of
// the same number in two stages, one after the other, by a link. In an encoder-decoder, a link also leads
// from the last stage back to the first: the encoder's states go round to all stages.
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
  // Of encoder-decoders with several stages: at the first stage and at the last one.
  std::unique_ptr<parallel::LinkReceiver> from_last;
  std::unique_ptr<parallel::LinkSender> to_first;

  // Ends everything that this rank is connected to: its calls and those of its neighbours fail with
  // `reason`. Any thread may call it.
  void Abort(const Status& reason) const;
  // What the rank has sent. Only while it does not compute.
  RankTraffic traffic() const;
};

// Of the links between the stages of a model: the most bytes in a message.
int64_t MaxStreamBytes(const model::ModelConfig& config, const RunnerSpec& spec);
// Whether the model has links from its last stage to its first one.
bool HasStateLinks(const model::ModelConfig& config, int64_t num_stages);

// Connects ranks that are threads of this process and compute on `backends`; [rank of the model].
Result<std::vector<RankConnections>> ConnectRanks(const LoadedModel& model,
                                                  const Backends& backends, const RunnerSpec& spec);

}  // namespace dray::engine
