// The body of a DJLServing request as checked types, with DJLServing's defaults.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "api/call.h"
#include "base/status.h"

namespace dray::api {

inline constexpr size_t kMaxInputs = 64;
inline constexpr size_t kMaxJsonDepth = 100;
// Strings, numbers, lists and objects of a body: far more than all parameters can use, and in memory
// no more than 10 MB.
inline constexpr size_t kMaxJsonValues = size_t{1} << 17;

// The body {"inputs": ..., "parameters": {...}, "stream": ...}. kInvalidArgument names the field.
Result<GenerateCall> ParseDjlCall(std::string_view json);
// A body of plain text: one input, in a list of its own, with default parameters.
Result<GenerateCall> MakeDjlTextCall(std::string text);

}  // namespace dray::api
