// Engine options given as lists: `--dtype bf16,int8 --threads 1,2` means four variants.
#pragma once

#include <vector>

#include "base/status.h"
#include "bench/model_bench.h"
#include "cli/model_options.h"

namespace dray::cli {

// The variants that the arguments mean, the last list varying fastest. Errors: no such model, a
// value that the setting does not take.
Result<std::vector<bench::Variant>> MakeVariants(const ModelArguments& arguments);

}  // namespace dray::cli
