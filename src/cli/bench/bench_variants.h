// Lists of values for engine options: `--dtype bf16,int8 --threads 1,2` means four variants.
#pragma once

#include <vector>

#include "base/status.h"
#include "bench/model_bench.h"
#include "cli/model_options.h"

namespace dray::cli {

// The variants that the arguments mean; the last list varies fastest. Fails if there is no such
// model or if a setting does not allow a value.
Result<std::vector<bench::Variant>> MakeVariants(const ModelArguments& arguments);

}  // namespace dray::cli
