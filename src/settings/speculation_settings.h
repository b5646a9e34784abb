// The settings of speculation: their spellings here and elsewhere, and what they mean together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/engine_options.h"
#include "settings/number_formats.h"

namespace dray::settings {

// Who guesses. kAuto: the draft model if one is named, else nobody.
enum class SpeculationChoice { kAuto, kNone, kNgram, kDraftModel };

struct SpeculationSettings {
  SpeculationChoice method = SpeculationChoice::kAuto;
  std::string draft_model;  // a folder; "": none
  WeightDType draft_dtype;
  // Guesses of one sequence in one step; 0: as many as pay.
  int64_t num_tokens = 0;
  int64_t lookup_max = 4;
  int64_t lookup_min = 1;
};

// kInvalidArgument or kUnsupported; the message says what the value must be.
Status SetSpeculativeMethod(SpeculationSettings& settings, std::string_view text);
// A folder, or "[ngram]" for the method of that name.
Status SetDraftModel(SpeculationSettings& settings, std::string_view text);
// vLLM's JSON object of all of them.
Status SetSpeculativeConfig(SpeculationSettings& settings, std::string_view text);

// What they mean. kInvalidArgument names those that contradict each other.
Result<engine::SpeculationOptions> MakeSpeculation(const SpeculationSettings& settings);

}  // namespace dray::settings
