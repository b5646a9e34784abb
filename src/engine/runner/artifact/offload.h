// Runs a model whose weights are larger than the memory that they may take. The artifact's bytes that fit stay in
// memory; the others are read from the disk, layer by layer, for every step (model/weights/offload/).
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>

#include "artifact/mapped_artifact.h"
#include "base/status.h"
#include "engine/runner/loaded_model.h"

namespace dray::engine {

// Whether weights of so many bytes do not fit. A limit of 0 is none.
constexpr bool IsTooLarge(int64_t weight_bytes, int64_t max_memory_bytes) {
  return max_memory_bytes > 0 && weight_bytes > max_memory_bytes;
}

// About how many bytes the weights of a checkpoint take in memory in the form that `options` ask for; in the
// checkpoint's own form, the bytes of its files. Errors of reading its configuration.
Result<int64_t> ExpectedWeightBytes(const LoadModelOptions& options, int64_t file_bytes);

// Moves the weights of all ranks, which point to the artifact, into at most `max_memory_bytes` of memory, and starts
// to read the rest. The model then has streams, and says so in `offload` and in the log.
//
// kResourceExhausted if the limit is too small, with the least that would do. kUnsupported if ranks have copies
// of weights, because their parts cannot be read from the file as they are. Errors of DataReader::Read.
Status OffloadWeights(LoadedModel& model,
                      const std::shared_ptr<const artifact::MappedArtifact>& artifact,
                      int64_t max_memory_bytes, const std::stop_token& stop);

}  // namespace dray::engine
