// `dray generate MODEL --prompt TEXT`: continues one prompt and prints the text as it comes.
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

// Writes text to `out`, and a line of figures and errors to `err`. Returns the exit code.
int RunGenerate(const GenerateOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
