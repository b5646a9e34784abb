// The work of a rank in a process of its own: one step after the other, until the front has no more.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "engine/runner/processes/wire/step_codec.h"
#include "engine/runner/rank_worker.h"
#include "engine/runner/ranks/rank_links.h"
#include "parallel/link.h"

namespace dray::engine {

struct RankDuties {
  // Answers an order to report (wire/step_codec.h).
  std::function<Status()> report;

  RankWorker* worker = nullptr;
  const RankConnections* connections = nullptr;
  // Brings the steps and other orders (wire/step_codec.h), and a message without bytes after the last
  // one.
  parallel::LinkReceiver* orders = nullptr;
  // Takes the pieces of logits. Null but at the first rank of the last stage.
  parallel::LinkSender* results = nullptr;
  bool is_last_stage = false;
  StepBounds bounds;
};

// Computes the steps in their order. All pieces of a step follow each other: the link of results
// keeps the rank from getting far ahead of the front. OK after the last step; an error ends the
// rank's group.
Status RunRankLoop(const RankDuties& duties);

}  // namespace dray::engine
