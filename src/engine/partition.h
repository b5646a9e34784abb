// Writes a model as an artifact: its weights as they lie in memory, with the files that a model folder
// has beside them. `dray partition` and option.save_mp_checkpoint_path do this.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/status.h"
#include "engine/engine_options.h"
#include "kernels/weight_matrix.h"

namespace dray::engine {

struct PartitionOptions {
  // The model, and the form of its weights. Degrees and transport do not matter: an artifact has the
  // whole model.
  LoadModelOptions load;
  // A folder, or a GGUF file, whose tokenizer goes into the artifact.
  std::filesystem::path tokenizer;
  // The folder with modules.json, if the model has one; load.model_dir is then its transformer.
  std::filesystem::path modules = {};
  // The text of the artifact's serving.properties, which may be changed later; "": it has none.
  std::string settings = {};
  // A folder that does not exist, or is empty.
  std::filesystem::path output;
};

struct PartitionReport {
  int64_t file_bytes = 0;  // of all files
  int64_t num_parameters = 0;
  kernels::WeightForm format;
  kernels::WeightForm table_format;
  double seconds = 0;
};

// Needs the memory of one weight, two where its rows are stored by columns. kInvalidArgument if the model is
// an artifact already, or the output is in use; kResourceExhausted if the disk is full; kCancelled if
// load.stop asks for it. Whatever fails, nothing is left of the artifact.
Result<PartitionReport> Partition(const PartitionOptions& options);

// Writes the artifact unless the output is an artifact of this model already. kInvalidArgument if it is one of
// other files, or of files that were changed since. Other errors as of Partition.
Status EnsureArtifact(const PartitionOptions& options);

}  // namespace dray::engine
