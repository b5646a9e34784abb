#include "cli/partition/artifact_report.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <ostream>
#include <string>

#include "artifact/manifest.h"
#include "base/human.h"
#include "model/weights/artifact_weights.h"

namespace dray::cli {
namespace {

using artifact::ArtifactTensor;

std::string FormOf(const ArtifactTensor& tensor) {
  if (!tensor.matrix) return "f32";
  const kernels::MatrixSpec& spec = *tensor.matrix;
  return Name(kernels::WeightForm(spec.format, spec.group, spec.zero, spec.inputs));
}

std::string ShapeOf(const ArtifactTensor& tensor) {
  if (!tensor.matrix) return fmt::format("[{}]", tensor.elements);
  return fmt::format("[{}, {}]", tensor.matrix->rows, tensor.matrix->cols);
}

void PrintTensors(const artifact::Manifest& manifest, std::ostream& out) {
  size_t width = 6;
  for (const ArtifactTensor& tensor : manifest.tensors) {
    width = std::max(width, tensor.name.size());
  }
  fmt::print(out, "\n{:<{}}  {:<14} {:>10}  form\n", "weight", width, "shape", "size");
  for (const ArtifactTensor& tensor : manifest.tensors) {
    fmt::print(out, "{:<{}}  {:<14} {:>10}  {}\n", tensor.name, width, ShapeOf(tensor),
               HumanBytes(static_cast<uint64_t>(tensor.size_bytes)), FormOf(tensor));
  }
}

}  // namespace

Status PrintArtifact(const std::filesystem::path& folder, TensorTable tensors, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(const artifact::Manifest manifest, artifact::ReadManifest(folder));
  DRAY_ASSIGN_OR_RETURN(
      const auto facts,
      model::ParseFacts(manifest.model, (folder / artifact::kManifestName).string()));
  int64_t parameters = 0;
  for (const ArtifactTensor& tensor : manifest.tensors) {
    parameters += tensor.matrix ? tensor.matrix->rows * tensor.matrix->cols : tensor.elements;
  }
  fmt::print(out, "family        {}\nparameters    {} ({})\n", facts.family, parameters,
             HumanCount(parameters));
  fmt::print(out, "weights       {} in an artifact, layers as {}, tables as {}\n",
             HumanBytes(static_cast<uint64_t>(manifest.data.size_bytes)), Name(facts.format),
             Name(facts.table_format));
  fmt::print(out, "made of       {} of {}\n", HumanBytes(facts.checkpoint_bytes),
             facts.checkpoint_format);
  fmt::print(out, "layout        {}, packed on {}\n", manifest.layout, manifest.packed_on);
  if (tensors == TensorTable::kShow) PrintTensors(manifest, out);
  return OkStatus();
}

}  // namespace dray::cli
