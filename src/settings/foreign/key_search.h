// Finding a key in the tables: by its spellings, by a variable's name, or by what it resembles.
#pragma once

#include <string>
#include <string_view>

#include "settings/settings_table.h"

namespace dray::settings {

// The setting of this property or alias; null if there is none. Compared without case, as environment
// variables need it.
const Setting* FindSetting(std::string_view property);

// The property that a variable stands for: "option.dtype" for "OPTION_DTYPE" and "SM_VLLM_DTYPE",
// "job_queue_size" for "SERVING_JOB_QUEUE_SIZE", "engine" for "OPTION_ENGINE"; "" for other names.
std::string PropertyOfVariable(std::string_view name);

// "; did you mean ...?" if a known key differs from `property` by a letter in three, three at most.
std::string Suggestion(std::string_view property);

}  // namespace dray::settings
