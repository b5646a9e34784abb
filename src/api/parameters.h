// The one table of a request's parameters. A dialect lists the names that its requests have for
// them, and decides what is read here together with its defaults.
//
// Here is checked of which kind a value is; ranges are checked by sampling::FindProblem, lengths by
// serving::PrepareRequest.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/call.h"
#include "base/parse/json.h"
#include "base/status.h"

namespace dray::api {

// A call whose parameters are read, but not decided on: what stands beside `call` bears on several
// of its fields, in ways that differ from dialect to dialect.
struct PartialCall {
  GenerateCall call;
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<int64_t> n;
  std::optional<int64_t> best_of;
  std::optional<int64_t> logprobs;
};

struct Parameter {
  // As reasons name it (sampling/param_problem.h).
  std::string_view name;
  // What it may be, for the documentation.
  std::string_view values;
  std::string_view meaning;
  // Takes the value out of `value` into `out`. kInvalidArgument names `spelling`, the name that the
  // request used.
  Status (*read)(std::string_view spelling, Json& value, PartialCall& out);
};

std::span<const Parameter> ParameterTable();
// The row of that name, which must exist.
const Parameter& FindParameter(std::string_view name);

// What a dialect calls a parameter. Several spellings may mean the same one; the first is the one
// that messages use.
struct ParameterSpelling {
  std::string_view spelling;
  std::string_view name;
  // Of the first spelling: what the dialect does without it, for the documentation.
  std::string_view default_text;
};

// Reads the members of `parameters` in one pass. Of equal names the last counts; null counts as
// absent. Values are moved out of `parameters`. kInvalidArgument names the member that is unknown
// or of the wrong kind.
Status ReadParameters(std::span<const ParameterSpelling> spellings, Json::Object& parameters,
                      PartialCall& out);

// The first spelling of a parameter's name with quotation marks; the name itself if the dialect has
// none.
std::string SpellParameter(std::span<const ParameterSpelling> spellings, std::string_view name);

// "parameter ... must be ..., not ...".
Status WrongKind(std::string_view spelling, const Json& value, std::string_view kind);

}  // namespace dray::api
