// The keys with which DJLServing chooses an engine: engine, option.rolling_batch, option.entryPoint. dray
// has one engine, which serves in place of all that compute language models. engine=Echo, which only dray has,
// answers without a model.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "settings/answers/answer_shape.h"
#include "settings/settings.h"

namespace dray::settings {

// A value and where it stands, as errors name it: "serving.properties: engine".
struct ForeignValue {
  std::string value;
  std::string where;
};

struct EngineChoice {
  // For the log: what dray's engine stands in for; "" if nothing was chosen.
  std::string note;
  EngineKind engine = EngineKind::kModel;
  // Whether option.entryPoint names a handler that is built into DJLServing.
  bool has_built_in_handler = false;
  // How many sequences that engine computes together if nothing says it.
  int64_t max_rolling_batch_size = 32;
  // What that engine's handler answered like.
  AnswerShape answer_shape = AnswerShape::kTokens;
  // Whether beam search follows FasterTransformer's rules.
  bool faster_transformer_beams = false;
};

// One of the three keys, with the values that dray's engine stands in for.
struct EngineKey {
  std::string_view property;
  std::string_view values;  // by spaces; of option.entryPoint: without djl_python.
  std::string_view reason;  // why other values are refused
};

// The value of engine for EngineKind::kEcho.
inline constexpr std::string_view kEchoEngine = "Echo";

std::vector<EngineKey> EngineKeys();
bool IsEngineKey(std::string_view property);

// A module's name as it is compared: without djl_python., in lower case, with underscores.
// "djl_python.transformers-neuronx" is "transformers_neuronx".
std::string HandlerName(std::string_view entry_point);

// Whether this is a handler for language models that is built into DJLServing, in any spelling
// ("djl_python.transformers-neuronx", "transformers_neuronx").
bool IsBuiltInHandler(std::string_view entry_point);

// Checks the three keys of all that were given, by property. kUnsupported for engines that compute
// something else, and for handlers in Python.
Result<EngineChoice> ChooseEngine(const std::map<std::string, ForeignValue>& given);

}  // namespace dray::settings
