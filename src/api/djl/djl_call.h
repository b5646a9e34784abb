// The body of a DJLServing request as checked types, with DJLServing's defaults.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "api/call.h"
#include "base/parse/json.h"
#include "base/status.h"

namespace dray::api {

inline constexpr size_t kMaxInputs = 64;
inline constexpr size_t kMaxJsonDepth = 100;
// Of all strings, numbers, lists and objects of a body. The inputs, five lists of up to 1,024 entries
// each (stop strings and bad words under both of their names, and stop tokens) and 40 parameters make
// 5,224; the rest is room for members that a later one of the same name overrides. In memory, 0.6 MB.
inline constexpr size_t kMaxJsonValues = 8192;

// The body {"inputs": ..., "parameters": {...}, "stream": ...}. kInvalidArgument names the field.
Result<GenerateCall> ParseDjlCall(std::string_view json);
// The same of a body that is parsed already.
Result<GenerateCall> MakeDjlCall(Json body);
// A body of plain text: one input, in a list of its own, with default parameters.
Result<GenerateCall> MakeDjlTextCall(std::string text);

}  // namespace dray::api
