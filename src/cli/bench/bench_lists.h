// Lists of numbers on the command line: "1,4,16".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/flags/flags.h"

namespace dray::cli {

// Reads whole numbers from 1 to `most`. The error names the text and the limit.
Result<std::vector<int64_t>> ParseCounts(const std::string& text, int64_t most);
// Reads numbers above zero; errors are as of ParseCounts.
Result<std::vector<double>> ParseRates(const std::string& text);

// What a flag with such a list does: it sets `values` to the result of `parse(text)`.
template <typename T, typename Parse>
FlagTarget FillList(std::vector<T>& values, const Parse& parse) {
  return [&values, parse](const std::string& text) -> Status {
    DRAY_ASSIGN_OR_RETURN(values, parse(text));
    return OkStatus();
  };
}

}  // namespace dray::cli
