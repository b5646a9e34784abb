// Turns a GGUF file's metadata into a model's description. The metadata is translated into the
// config.json that the model was converted from. So each family checks its configuration in one
// place.
#pragma once

#include "base/parse/json.h"
#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"

namespace dray::model {

// `generation_config` is the content of that file beside the model, or null. Refuses architectures
// that no family computes, and keys that would change the result; the error names file and key.
// Warns of keys of the architecture that no code reads.
Result<ModelDescription> DescribeGguf(const checkpoint::Checkpoint& checkpoint,
                                      const Json& generation_config);

}  // namespace dray::model
