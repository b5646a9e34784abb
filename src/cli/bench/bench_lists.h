// Lists of numbers on the command line: "1,4,16".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dray::cli {

// Reads whole numbers from 1 to `most`. Throws CLI::ValidationError, which names the text and the
// limit.
std::vector<int64_t> ParseCounts(const std::string& text, int64_t most);
// Reads numbers above zero; throws as ParseCounts does.
std::vector<double> ParseRates(const std::string& text);

}  // namespace dray::cli
