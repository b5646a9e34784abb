// A form as a DJLServing request: which field names the model, and which are the input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/djl/djl_call.h"
#include "base/status.h"
#include "http/encoding/form.h"

namespace dray::api {

// The value of the first field of that name; "" without it, or if the body is no form.
std::string FindFormProperty(const http::Request& request, std::string_view name);

// The call that the fields make, leaving out model_name and model_version:
// - "data", or else the only field if it has none of the names below: a whole body, JSON or plain text;
// - or "inputs" (several of them are a list), "parameters" as JSON, and "stream".
// Values are moved out of `form`. kInvalidArgument names the field.
Result<GenerateCall> MakeDjlFormCall(std::vector<http::FormField> form, const CallReader& reader);

}  // namespace dray::api
