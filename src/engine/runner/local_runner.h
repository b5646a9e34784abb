// The runner of a model that is not divided, on the thread that calls it.
#pragma once

#include <memory>

#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

// Allocates the cache and all working memory; steps allocate none. The model has one rank, and must
// outlive the runner, which computes on `backend`.
Result<std::unique_ptr<ModelRunner>> MakeLocalRunner(const LoadedModel& model,
                                                     std::shared_ptr<kernels::Backend> backend,
                                                     const RunnerSpec& spec);

}  // namespace dray::engine
