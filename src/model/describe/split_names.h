// Checkpoints that other programs have cut for tensor parallelism: FasterTransformer's folders and
// DeepSpeed's inference checkpoints. Both name and store the layers of all families in one way each,
// so a table replaces the families' own names and transforms, as gguf_names.h does for GGUF.
#pragma once

#include <vector>

#include "base/status.h"
#include "checkpoint/split/faster_transformer.h"
#include "checkpoint/split/split_tensor.h"
#include "model/describe/model_description.h"

namespace dray::model {

// Gives `model`, as config.json describes it, the names and the layout of the folder's files:
// positions without the rows before the first, and token tables into which OPT's projections are
// multiplied. Returns what the model needs of the files. kUnsupported for families that
// FasterTransformer has no converter for, kInvalidArgument if config.ini contradicts config.json.
Result<std::vector<checkpoint::SplitTensor>> UseFasterTransformerNames(
    const checkpoint::FasterTransformerFolder& folder, ModelDescription& model);

// The same for files with DeepSpeed's layers. kUnsupported for families whose layers DeepSpeed stores
// in another way.
Result<std::vector<checkpoint::SplitTensor>> UseDeepSpeedNames(ModelDescription& model);

}  // namespace dray::model
