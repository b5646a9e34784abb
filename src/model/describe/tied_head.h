// Finds out whether a model's head is its token table. config.json says so, or leaves it to the
// family's default, but some fine-tuned checkpoints have two different tensors nevertheless.
#pragma once

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"

namespace dray::model {

// Call this before PlanTensors. If config.json ties the head to the token table, but the checkpoint
// has both tensors with different values, the checkpoint is right: this warns and sets
// model.config.tied_head to false, as transformers does since release 5. Reads both tensors if the
// checkpoint has both.
void SettleTiedHead(const checkpoint::Checkpoint& checkpoint, ModelDescription& model);

// True if both tensors hold the same numbers in the same format. Reads them up to the first
// difference.
bool SameStorage(const checkpoint::TensorSource& a, const checkpoint::TensorSource& b);

}  // namespace dray::model
