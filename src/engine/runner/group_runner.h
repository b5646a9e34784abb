// The runner of a tensor-parallel group whose ranks are threads of this process.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Allocates the caches and all working memory of the ranks; steps allocate none. The model has two
// ranks or more, and must outlive the runner, which computes on `backends`.
//
// Rank 0 computes on the thread that calls the runner, each other rank on a thread of its own. A
// failure of any rank ends the runner, and its message says which rank it was.
//
// Threads: owns one for each rank but the first. They work only while a caller is in Collect.
Result<std::unique_ptr<ModelRunner>> MakeGroupRunner(const LoadedModel& model,
                                                     const Backends& backends,
                                                     const RunnerSpec& spec);

}  // namespace dray::engine
