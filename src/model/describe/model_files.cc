#include "model/describe/model_files.h"

#include <utility>

#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/weight_files.h"
#include "model/describe/gguf_config.h"
#include "model/describe/tied_head.h"

namespace dray::model {
namespace {

using checkpoint::Checkpoint;

bool IsGguf(const std::filesystem::path& path) {
  if (checkpoint::IsGgufFile(path)) return true;
  const auto weights = checkpoint::FindWeightFiles(path);
  return weights.ok() && weights->format == checkpoint::FileFormat::kGguf;
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
  if (IsGguf(path)) return OpenGguf(path, options);
  DRAY_ASSIGN_OR_RETURN(ModelDescription model, ReadModelDescription(path));
  DRAY_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path, options));
  SettleTiedHead(checkpoint, model);
  return ModelFiles{std::move(model), std::move(checkpoint)};
}

}  // namespace dray::model
