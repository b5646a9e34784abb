// `dray inspect MODEL`: describes the content of a model directory without loading its weights.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace dray::cli {

enum class TensorTable { kHide, kShow };

struct InspectOptions {
  std::filesystem::path model_dir;
  TensorTable tensors = TensorTable::kShow;
};

// Prints family, sizes, parameters, bytes and the table of tensors. Returns the exit code; errors
// go to `err`.
int RunInspect(const InspectOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
