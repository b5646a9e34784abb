// Matrices whose checkpoint holds them as packed integers: where they are, and in which form they
// are kept.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/packed_linear.h"
#include "kernels/weight_matrix.h"
#include "model/model_config.h"

namespace dray::model {

using PackedTensor = std::shared_ptr<const checkpoint::PackedLinear>;

// The packed layer that stands for the first of `names` ("...up_proj.weight") that there is; null
// if there is none.
Result<PackedTensor> FindPacked(const ModelDescription& model,
                                const std::vector<std::string>& names,
                                const checkpoint::Checkpoint& checkpoint);

// Refuses checkpoints whose packed weights are not the whole layer: some AWQ files divide what an
// activation function gives by "act.scales".
Status CheckPackedCheckpoint(const ModelDescription& model,
                             const checkpoint::Checkpoint& checkpoint);

// `sizes` in the form that holds all of `parts`, which fill one matrix, as they are: their bits,
// the largest group that divides theirs, zero points if any part needs them. int8 rows if no form
// does: groups that are no multiple of 32 or spread over the channels, parts of different bits,
// parts that are floats (null).
kernels::MatrixSpec PackedSpec(kernels::MatrixSpec sizes, std::span<const PackedTensor> parts);

}  // namespace dray::model
