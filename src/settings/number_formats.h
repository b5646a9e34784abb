// The spellings of number formats in settings. What is absent is "auto": weights as the checkpoint
// holds them, keys and values as the weights ask for.
#pragma once

#include <optional>
#include <string_view>

#include "base/status.h"
#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::settings {

using WeightDType = std::optional<kernels::WeightFormat>;
using CacheDType = std::optional<DType>;

// "auto", "fp32", "fp16", "bf16", "int8" or "int4".
std::string_view SpellingOf(WeightDType dtype);

// Set the format that `text` names, in any spelling that people know from elsewhere.
// kInvalidArgument or kUnsupported; the message says what the value must be.
Status SetWeightDType(WeightDType& out, std::string_view text);
Status SetCacheDType(CacheDType& out, std::string_view text);

}  // namespace dray::settings
