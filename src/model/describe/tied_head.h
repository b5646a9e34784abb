// Whether a model's head really is its token table. config.json says that it is, or leaves it to
// the family's default, but some fine-tuned checkpoints hold two different tensors all the same.
#pragma once

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"

namespace dray::model {

// If config.json ties the head to the token table, but the checkpoint holds both with different
// values, the values are right: warns and sets model.config.tied_head to false, as transformers
// does since release 5. To be called before PlanTensors. Reads both tensors if both are there.
void SettleTiedHead(const checkpoint::Checkpoint& checkpoint, ModelDescription& model);

// Whether two tensors hold the same numbers in the same format. Reads them up to
// the first difference.
bool SameStorage(const checkpoint::TensorSource& a, const checkpoint::TensorSource& b);

}  // namespace dray::model
