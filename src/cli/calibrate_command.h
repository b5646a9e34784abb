// `dray calibrate MODEL`: what a model's activations are like on a text, for smoothquant.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "cli/model_options.h"

namespace CLI {
class App;
}

namespace dray::cli {

struct CalibrateOptions {
  ModelArguments model;
  std::string text_file;
  std::string out_file;
  int64_t num_tokens = 16384;
};

// Adds the command's arguments; `options` must live until parsing is done.
void AddCalibrateOptions(CLI::App& command, CalibrateOptions& options);

// Reads the text's first tokens with the model in floats and writes the file; the exit code. Errors
// go to `err`.
int RunCalibrate(const CalibrateOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
