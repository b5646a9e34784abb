// The part of a step that one rank of a pipeline's stage computes before the results, and what it
// exchanges with the ranks of other stages on the way. Ranks that are threads and ranks that are
// processes compute it alike.
#pragma once

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/rank_worker.h"
#include "engine/runner/ranks/rank_links.h"

namespace dray::engine {

// Copies blocks, and computes the layers of the rank's stage for a step that the worker has begun:
//   1. If the step of an encoder-decoder has sources, the encoder's stream goes from stage to stage, and
//      each computes its layers of the encoder. The last stage then has the states. It sends them to the first stage, and
//      each stage sends them on to the next one, so that every stage stores keys and values of them.
//   2. The stream of the decoder, or of a model that is an encoder, goes from stage to stage.
// A stage that waits for the states computes nothing meanwhile, but every stage may be at another step:
// the last stage computes the steps before this one without waiting for any other stage's later step.
// Errors are those of the worker and of the links. kCorrupt if a neighbour is at another step.
Status PassStage(RankWorker& worker, const RankConnections& links, const RunnerStep& step);

}  // namespace dray::engine
