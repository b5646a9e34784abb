// Text to numbers, whole and in range: "12x", "", " 5" and "1e999" are errors,
// never half-read values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dray {

std::optional<int64_t> ParseInt64(std::string_view text);
std::optional<uint64_t> ParseUint64(std::string_view text);
// Finite numbers only.
std::optional<double> ParseDouble(std::string_view text);
// true / false in any case, and 1 / 0: the spellings that .properties files and environments carry.
std::optional<bool> ParseBool(std::string_view text);

}  // namespace dray
