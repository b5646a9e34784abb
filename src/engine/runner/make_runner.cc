#include "engine/runner/make_runner.h"

#include <utility>

#include "engine/runner/group_runner.h"
#include "engine/runner/local_runner.h"
#include "engine/runner/processes/process_runner.h"
#include "engine/runner/stages/pipeline_runner.h"

namespace dray::engine {

Result<std::unique_ptr<ModelRunner>> MakeRunner(LoadedModel& model, const RunnerSpec& spec) {
  if (model.launcher != nullptr) return MakeProcessRunner(model, *model.launcher, spec);
  return MakeRunnerOn(model.backends())(model, spec);
}

RunnerMaker MakeRunnerOn(Backends backends) {
  return [backends = std::move(backends)](LoadedModel& model, const RunnerSpec& spec) {
    if (model.num_stages > 1) return MakePipelineRunner(model, backends, spec);
    return model.num_ranks() == 1 ? MakeLocalRunner(model, backends.front(), spec)
                                  : MakeGroupRunner(model, backends, spec);
  };
}

RunnerMaker MakeRunnerBy(std::shared_ptr<RankLauncher> launcher) {
  return [launcher = std::move(launcher)](LoadedModel& model, const RunnerSpec& spec) {
    return MakeProcessRunner(model, *launcher, spec);
  };
}

}  // namespace dray::engine
