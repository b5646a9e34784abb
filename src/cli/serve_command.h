// `dray serve MODEL`: loads the model, answers over HTTP until SIGTERM or SIGINT, then finishes
// what it accepted.
#pragma once

#include <iosfwd>

#include "cli/model_options.h"

namespace dray::cli {

// Prints the address to `out` once it serves; the exit code: 0 after an orderly end, 1 if it could
// not start, 3 if requests were cut off at the end of the drain time.
int RunServe(const ModelArguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
