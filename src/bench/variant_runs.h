// What the model's benchmarks share: variants loaded one after the other, repeated runs of a shape,
// progress, and the stop in the middle.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/model_bench.h"
#include "bench/progress.h"

namespace dray::bench {

// A variant in memory.
struct LoadedVariant {
  const Variant& variant;
  std::unique_ptr<engine::LoadedModel> model;
  int64_t peak_bytes = 0;  // of the process, loading and runs
};

// A rough cost of a run, for the estimate of the time left: a prompt's tokens are computed many at
// a time, a step of decoding reads all weights.
double CostOfRun(const RunShape& shape);

class VariantRuns {
 public:
  VariantRuns(const ModelBenchOptions& options, double cost_of_a_variant);

  // Calls body(variant) for each variant, loaded; stops at the first error. An interruption is no
  // error: it is noted in the report.
  Status ForEach(Report& report, const std::function<Status(LoadedVariant&)>& body);
  // Runs the shape once to warm up, then `repeats` times.
  Result<std::vector<RunTimes>> Repeat(LoadedVariant& loaded, const std::string& what,
                                       const RunShape& shape, double& kv_token_bytes);

 private:
  const ModelBenchOptions& options_;
  Progress progress_;
};

// The outputs that, behind such an input, the model has positions for; the others are noted.
std::vector<int64_t> FittingOutputs(const LoadedVariant& loaded, int64_t input,
                                    const std::vector<int64_t>& outputs, Report& report);
bool Fits(const LoadedVariant& loaded, const RunShape& shape, Report& report);
// kInvalidArgument if nothing was measured and nobody stopped it.
Status CheckNotEmpty(const Report& report);

// "int8: 1.35 B parameters ..., loaded in 2.1 s" and the machine; once for each variant.
void AddModelFacts(const LoadedVariant& loaded, Report& report);

}  // namespace dray::bench
