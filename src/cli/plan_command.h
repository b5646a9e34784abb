// `dray plan MODEL`: whether a model fits on machines, at which degrees, and how fast it would be.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "cli/flags/flags.h"

namespace dray::cli {

struct PlanArguments {
  std::string model;
  std::string devices = "this";
  std::string dtype;  // the next three: spellings of the settings of these names; "": auto
  std::string quantize;
  std::string kv_cache_dtype;
  std::optional<int64_t> quantize_group_size;
  int64_t batch = 1;
  std::optional<int64_t> prompt, new_tokens, context;  // tokens; null: as far as the model has room
  std::string disk, network;                           // rates in place of those of the devices; ""
  std::vector<int64_t> tensor_degrees, pipeline_degrees;
  enum class Format { kTable, kJson } format = Format::kTable;
  std::string html;  // the file of the page, or of the picture if its name ends in .svg; "": none
};

// `arguments` must live until parsing is done.
void AddPlanOptions(Command command, PlanArguments& arguments);

// Prints the plan. Returns 0 if a layout fits, 2 if none does, 1 after an error, which goes to `err`.
int RunPlan(const PlanArguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
