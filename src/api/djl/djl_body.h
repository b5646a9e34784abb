// The parts of a request's body that all generations of DJLServing's requests have in common.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/call.h"
#include "api/parameters.h"
#include "base/parse/json.h"
#include "base/status.h"

namespace dray::api {

inline constexpr size_t kMaxInputs = 64;
inline constexpr size_t kMaxJsonDepth = 100;
// Of all strings, numbers, lists and objects of a body. The inputs, five lists of up to 1,024 entries
// each (stop strings and bad words under both of their names, and stop tokens) and 40 parameters make
// 5,224; the rest is room for members that a later one of the same name overrides. In memory, 0.6 MB.
inline constexpr size_t kMaxJsonValues = 8192;

// kInvalidArgument.
Status InvalidBody(std::string message);

Result<Json> ParseBody(std::string_view json);
// A member that a body may have, and where to put a pointer to it: null if it is absent or null.
struct BodyField {
  std::string_view name;
  Json** value;
};
// Finds the fields among the members of a body, in one pass; of equal names the last counts. Returns the name of the
// first member that is none of them, or nothing.
std::optional<std::string_view> FindFields(Json::Object& body,
                                           std::initializer_list<BodyField> fields);
// A string, or a list of 1 to kMaxInputs strings, none of them empty. `field` names them in errors.
Status ReadInputs(std::string_view field, Json& inputs, GenerateCall& call);
// Null: the request does not say.
Status ReadStream(const Json* stream, GenerateCall& call);
// Null: no parameters.
Status ReadParameterField(std::span<const ParameterSpelling> spellings, Json* parameters,
                          PartialCall& partial);
// How many sequences are generated and answered with, and the log-probabilities that this needs.
Status DecideCounts(PartialCall& partial);

}  // namespace dray::api
