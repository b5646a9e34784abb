// The shape of encoder-decoder models of the T5 kind (T5, FLAN-T5, mT5, UL2) by their config.json.
// Decoders' shapes are made of the families' tables; this one counts the weights of both stacks, and divides
// them over stages too, which dray itself does not do. Axes are cut by the same functions as those of decoders
// (parallel/shard.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

bool IsT5(std::string_view model_type);

// `where` names the file in errors. Fails if a size is missing or out of range, or contradicts
// another one; the error names file, key and value.
Result<std::unique_ptr<ModelShape>> ReadT5Shape(const std::string& where, const Json& config);

}  // namespace dray::plan
