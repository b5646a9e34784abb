// The forms in which a model's files store the matrices of a decoder, as the loader keeps them where no
// dtype is asked for. Only headers of files are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/status.h"
#include "kernels/weight_matrix.h"
#include "model/describe/model_description.h"
#include "model/describe/model_files.h"
#include "model/weights/slot_slices.h"

namespace dray::plan {

class StoredForms {
 public:
  struct Facts {
    model::ModelDescription description;
    kernels::WeightFormat format{};        // of what most numbers are
    kernels::WeightFormat table_format{};  // of matrices outside of the layers
    uint64_t file_bytes = 0;               // of the files with weights
  };

  virtual ~StoredForms() = default;
  StoredForms(const StoredForms&) = delete;
  StoredForms& operator=(const StoredForms&) = delete;

  const Facts& facts() const { return facts_; }
  // The form of a rank's part of a slot. `layer` is one of the whole model, kNoLayer for slots
  // before kFirstLayerSlot.
  virtual kernels::WeightForm FormOf(model::Slot slot, int64_t layer,
                                     const model::SlotSlices& slices) const = 0;

 protected:
  explicit StoredForms(Facts facts) : facts_(std::move(facts)) {}

 private:
  Facts facts_;
};

// Fails as model::PlanTensors does.
Result<std::unique_ptr<StoredForms>> FormsOfCheckpoint(model::ModelFiles opened);

// Reads the manifest and config.json of an artifact. Fails as artifact::ReadManifest and model::ParseFacts do;
// kCorrupt, naming the folder, if the manifest lacks a weight of the model.
Result<std::unique_ptr<StoredForms>> FormsOfArtifact(const std::filesystem::path& folder);

}  // namespace dray::plan
