// `dray calibrate MODEL`: measures a model's activations on a text, for smoothquant.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "cli/flags/flags.h"
#include "cli/model_options.h"

namespace dray::cli {

struct CalibrateOptions {
  ModelArguments model;
  std::string text_file;
  std::string out_file;
  int64_t num_tokens = 16384;
};

// Adds the command's arguments; `options` must live until parsing is done.
void AddCalibrateOptions(Command command, CalibrateOptions& options);

// Runs the model, with float weights, over the first tokens of the text and writes the results to
// the file. Returns the exit code; errors go to `err`.
int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
