// `dray inspect MODEL`: what a model directory holds, without loading its weights.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace dray::cli {

enum class TensorTable { kHide, kShow };

struct InspectOptions {
  std::filesystem::path model_dir;
  TensorTable tensors = TensorTable::kShow;
};

// Prints family, sizes, parameters, bytes and the tensor table; the exit code. Errors go to `err`.
int RunInspect(const InspectOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
