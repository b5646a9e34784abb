// What the benchmarks of a model share: variants that are loaded one after the other, repeated runs
// of a shape, progress, and interruption.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/machine_limits.h"
#include "bench/model_bench.h"
#include "bench/progress.h"

namespace dray::bench {

// A variant that is loaded.
struct LoadedVariant {
  const Variant& variant;
  std::unique_ptr<engine::LoadedModel> model;
  int64_t peak_bytes = 0;  // of the process, loading and runs
};

// The machine's limits with the threads and instructions of the variant. The buffer of `bytes` bytes exists
// only while it is read, so it is not counted as the model's memory.
LimitsSample SampleLimits(const LoadedVariant& loaded, int64_t bytes);
LimitsSample Better(const LimitsSample& a, const LimitsSample& b);

// A rough cost of a run, from which the time left is estimated. Prompt tokens are computed many at
// a time; each decode step reads all weights.
double CostOfRun(const RunShape& shape);

// What the models of a benchmark must do.
enum class Measured { kAnswers, kTextStates };

class VariantRuns {
 public:
  VariantRuns(const ModelBenchOptions& options, double cost_of_a_variant);

  // Loads each variant in turn and calls body(variant). Stops at the first error: kUnsupported if the
  // model does not do what is `measured`. An interruption is not an error: the report notes it.
  Status ForEach(Report& report, Measured measured,
                 const std::function<Status(LoadedVariant&)>& body);
  // Runs the shape once to warm up, then `repeats` times.
  Result<std::vector<RunTimes>> Repeat(LoadedVariant& loaded, const std::string& what,
                                       const RunShape& shape, double& kv_token_bytes);
  // The same for texts of an encoder: the seconds of each time that all of them were computed, for each
  // repeat. Sets `kv_dtype` to the format of keys and values.
  Result<std::vector<std::vector<double>>> RepeatTexts(LoadedVariant& loaded,
                                                       const std::vector<int64_t>& lengths,
                                                       DType& kv_dtype);

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
