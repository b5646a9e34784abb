#include "model/describe/model_files.h"

#include <utility>
#include <vector>

#include "artifact/manifest.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/weight_files.h"
#include "model/describe/gguf_config.h"
#include "model/describe/split_names.h"
#include "model/describe/tied_head.h"

namespace dray::model {
namespace {

using checkpoint::Checkpoint;

bool IsGguf(const std::filesystem::path& path) {
  if (checkpoint::IsGgufFile(path)) return true;
  const auto weights = checkpoint::FindWeightFiles(path);
  return weights.ok() && weights->format == checkpoint::FileFormat::kGguf;
}

// Gives the description the names of the files in `path`. Returns what the files must be joined to;
// nothing if they hold whole tensors.
Result<std::vector<checkpoint::SplitTensor>> UseNamesOfFiles(const std::filesystem::path& path,
                                                             ModelDescription& model) {
  DRAY_ASSIGN_OR_RETURN(const auto weights, checkpoint::FindWeightFiles(path));
  if (weights.format == checkpoint::FileFormat::kRawSlices) {
    return UseFasterTransformerNames(*weights.raw, model);
  }
  if (weights.format == checkpoint::FileFormat::kDeepSpeed) {
    auto tensors = UseDeepSpeedNames(model);
    if (!tensors.ok()) return tensors.status().WithPrefix(path.string());
    return tensors;
  }
  return std::vector<checkpoint::SplitTensor>();
}

Result<ModelFiles> OpenGguf(const std::filesystem::path& path,
                            const checkpoint::OpenOptions& options) {
  DRAY_ASSIGN_OR_RETURN(const Json generation_config,
                        ReadGenerationConfig(checkpoint::ModelDir(path)));
  DRAY_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path, options));
  DRAY_ASSIGN_OR_RETURN(ModelDescription model, DescribeGguf(checkpoint, generation_config));
  return ModelFiles{std::move(model), std::move(checkpoint)};
}

}  // namespace

Result<ModelDescription> DescribeModelFiles(const std::filesystem::path& path) {
  if (!IsGguf(path)) return ReadModelDescription(path);
  DRAY_ASSIGN_OR_RETURN(ModelFiles files, OpenGguf(path, {}));
  return std::move(files.description);
}

Result<ModelFiles> OpenModelFiles(const std::filesystem::path& path,
                                  const checkpoint::OpenOptions& options) {
  DRAY_RETURN_IF_ERROR(artifact::CheckNotWithoutManifest(path));
  if (IsGguf(path)) return OpenGguf(path, options);
  DRAY_ASSIGN_OR_RETURN(ModelDescription model, ReadModelDescription(path));
  DRAY_ASSIGN_OR_RETURN(const auto split, UseNamesOfFiles(path, model));
  checkpoint::OpenOptions with_names = options;
  with_names.split = split;
  DRAY_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path, with_names));
  SettleTiedHead(checkpoint, model);
  return ModelFiles{std::move(model), std::move(checkpoint)};
}

}  // namespace dray::model
