// From a GGUF file's metadata to a model's description: its keys are read as the config.json that
// the model was converted from, so that every family checks them in the one place it has.
#pragma once

#include "base/parse/json.h"
#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"

namespace dray::model {

// `generation_config` is that of the file beside the model, or null. Refuses, naming file and key:
// architectures that no family computes, and keys that would change the result. Architecture keys
// that nobody reads are named in a warning.
Result<ModelDescription> DescribeGguf(const checkpoint::Checkpoint& checkpoint,
                                      const Json& generation_config);

}  // namespace dray::model
