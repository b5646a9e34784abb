// `dray generate MODEL --prompt TEXT`: one prompt's continuation, on the terminal as it comes.
#pragma once

#include <iosfwd>
#include <string>

#include "cli/model_options.h"
#include "serving/text_events.h"

namespace dray::cli {

struct GenerateOptions {
  ModelArguments model;
  serving::TextRequest request;
};

// Text goes to `out`, a line of figures and errors to `err`; the exit code.
int RunGenerate(const GenerateOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
