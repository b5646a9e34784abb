// Writes a model with outlier channels (outliers.h) to a folder, for other programs to read.
//
//   outlier_tool MODEL_DIR OUT_DIR --kind norms|ffn|values|stream|all
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

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
  CLI::App app("Writes a model with outlier channels that computes the same function in floats");
  dray::testing::Options options;
  app.add_option("model", options.model_dir, "Folder of a llama checkpoint in floats")->required();
  app.add_option("out", options.out_dir, "Folder to write")->required();
  app.add_option("--kind", options.kind, "norms, ffn, values, stream or all");
  app.add_option("--factor", options.outliers.factor, "How much larger the channels become");
  app.add_option("--channels", options.outliers.channels, "How many of each part");
  app.add_option("--seed", options.outliers.seed, "Decides which");
  CLI11_PARSE(app, argc, argv);
  const dray::Status status = dray::testing::Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "outlier_tool: {}\n", status.ToString());
  return 1;
}
