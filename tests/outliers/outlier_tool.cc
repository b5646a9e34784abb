// Writes a model with outlier channels (outliers.h) to a folder, for other programs to read.
//
//   outlier_tool MODEL_DIR OUT_DIR --kind norms|ffn|values|keys|stream|all
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "cli/flags/flags.h"
#include "outliers/outliers.h"

namespace dray::testing {
namespace {

struct Options {
  std::string model_dir;
  std::string out_dir;
  std::string kind = "all";
  Outliers outliers;
};

Status Run(Options options) {
  DRAY_ASSIGN_OR_RETURN(options.outliers.kind, ParseOutlierKind(options.kind));
  DRAY_ASSIGN_OR_RETURN(FloatModel model, FloatModel::Read(options.model_dir));
  DRAY_RETURN_IF_ERROR(AddOutliers(model, options.outliers));
  return model.Write(options.out_dir);
}

}  // namespace
}  // namespace dray::testing

int main(int argc, char** argv) {
  dray::testing::Options options;
  const auto exit_code = dray::cli::ParseFlags(
      "Writes a model with outlier channels that computes the same function in floats",
      {{.names = "model",
        .target = &options.model_dir,
        .help = "Folder of a checkpoint in floats: llama, opt, gptj, gpt_neox or bloom",
        .is_required = true},
       {.names = "out", .target = &options.out_dir, .help = "Folder to write", .is_required = true},
       {.names = "--kind",
        .target = &options.kind,
        .help = "norms, ffn, values, keys, stream or all"},
       {.names = "--factor",
        .target = &options.outliers.factor,
        .help = "How much larger the channels become"},
       {.names = "--channels",
        .target = &options.outliers.channels,
        .help = "How many of each part"},
       {.names = "--seed", .target = &options.outliers.seed, .help = "Decides which"}},
      argc, argv);
  if (exit_code) return *exit_code;
  const dray::Status status = dray::testing::Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "outlier_tool: {}\n", status.ToString());
  return 1;
}
