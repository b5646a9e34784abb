// The forms of the matrices of an artifact (artifact/manifest.h), which has them whole.
#include <fmt/format.h>

#include <map>
#include <string>

#include "artifact/manifest.h"
#include "base/check.h"
#include "model/families/family_spec.h"
#include "model/weights/artifact_weights.h"
#include "model/weights/fill_columns.h"
#include "model/weights/weights.h"
#include "plan/shape/stored_forms.h"

namespace dray::plan {
namespace {

using SpecsByName = std::map<std::string, kernels::MatrixSpec, std::less<>>;

class ArtifactForms final : public StoredForms {
 public:
  ArtifactForms(Facts facts, SpecsByName specs)
      : StoredForms(std::move(facts)), specs_(std::move(specs)) {}

  kernels::WeightForm FormOf(model::Slot slot, int64_t layer,
                             const model::SlotSlices& slices) const override {
    const auto found = specs_.find(model::ArtifactName({.slot = slot, .layer = layer}));
    DRAY_CHECK(found != specs_.end());
    kernels::MatrixSpec whole = found->second;
    whole.rows = slices.rows.local_size;
    const kernels::MatrixSpec spec = model::RankSpec(whole, slices);
    return {spec.format, spec.group, spec.zero, spec.inputs};
  }

 private:
  const SpecsByName specs_;
};

Status CheckComplete(const SpecsByName& specs, const model::ModelDescription& model,
                     const std::string& where) {
  for (const model::WeightRow& row : model.weights) {
    if (!IsPresent(row, model.config) || !model::IsMatrixSlot(row.slot)) continue;
    const bool in_layers = row.slot >= model::kFirstLayerSlot;
    const int64_t first = in_layers ? 0 : model::kNoLayer;
    const int64_t end = in_layers ? model.config.stack.num_layers : model::kNoLayer + 1;
    for (int64_t layer = first; layer < end; ++layer) {
      const std::string name = model::ArtifactName({.slot = row.slot, .layer = layer});
      if (specs.contains(name)) continue;
      return {StatusCode::kCorrupt,
              fmt::format("{}: it has no matrix {}; write the artifact again with dray partition",
                          where, name)};
    }
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<StoredForms>> FormsOfArtifact(const std::filesystem::path& folder) {
  const std::string where = (folder / artifact::kManifestName).string();
  DRAY_ASSIGN_OR_RETURN(const artifact::Manifest manifest, artifact::ReadManifest(folder));
  DRAY_ASSIGN_OR_RETURN(const auto of_model, model::ParseFacts(manifest.model, where));
  DRAY_ASSIGN_OR_RETURN(auto description, model::ReadModelDescription(folder));
  model::ApplyFacts(of_model, description.config);
  SpecsByName specs;
  for (const artifact::ArtifactTensor& tensor : manifest.tensors) {
    if (tensor.matrix) specs[tensor.name] = *tensor.matrix;
  }
  DRAY_RETURN_IF_ERROR(CheckComplete(specs, description, where));
  std::unique_ptr<StoredForms> forms = std::make_unique<ArtifactForms>(
      StoredForms::Facts{.description = std::move(description),
                         .format = of_model.format.format,
                         .table_format = of_model.table_format.format,
                         .file_bytes = static_cast<uint64_t>(manifest.data.size_bytes)},
      std::move(specs));
  return forms;
}

}  // namespace dray::plan
