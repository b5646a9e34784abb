// What the benchmarks of a model share: variants that are loaded one after the other, repeated runs
// of a shape, progress, and interruption.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/model_bench.h"
#include "bench/progress.h"

namespace dray::bench {

// A variant that is loaded.
struct LoadedVariant {
  const Variant& variant;
  std::unique_ptr<engine::LoadedModel> model;
  int64_t peak_bytes = 0;  // of the process, loading and runs
};

// A rough cost of a run, from which the time left is estimated. Prompt tokens are computed many at
// a time; each decode step reads all weights.
double CostOfRun(const RunShape& shape);

class VariantRuns {
 public:
  VariantRuns(const ModelBenchOptions& options, double cost_of_a_variant);

  // Loads each variant in turn and calls body(variant). Stops at the first error. An interruption
  // is not an error: the report notes it.
  Status ForEach(Report& report, const std::function<Status(LoadedVariant&)>& body);
  // Runs the shape once to warm up, then `repeats` times.
  Result<std::vector<RunTimes>> Repeat(LoadedVariant& loaded, const std::string& what,
                                       const RunShape& shape, double& kv_token_bytes);

 private:
  const ModelBenchOptions& options_;
  Progress progress_;
};

// The outputs for which the model has enough positions after this input. The report notes the
// others.
std::vector<int64_t> FittingOutputs(const LoadedVariant& loaded, int64_t input,
                                    const std::vector<int64_t>& outputs, Report& report);
bool Fits(const LoadedVariant& loaded, const RunShape& shape, Report& report);
// kInvalidArgument if nothing was measured although the benchmark was not interrupted.
Status CheckNotEmpty(const Report& report);

// Adds facts about the variant ("int8: 1.35 B parameters ..., loaded in 2.1 s") and, the first
// time, the machine.
void AddModelFacts(const LoadedVariant& loaded, Report& report);

}  // namespace dray::bench
