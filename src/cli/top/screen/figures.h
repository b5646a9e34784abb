// Figures of `dray top` in a few columns.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/top/server_view.h"

namespace dray::cli {

// What a terminal can show of bars and curves.
enum class Glyphs { kAscii, kUnicode };

// "0", "7.3", "456", "123k"; five columns at most for numbers below ten million.
std::string RateText(double rate);
// "0.12 ms", "34.5 ms", "1.23 s", ">10.0 s"; "-" without a value.
std::string LatencyText(const std::optional<Quantile>& quantile);
// "12 s", "5 min 12 s", "3 h 12 min", "4 d 3 h".
std::string DurationText(double seconds);
// "48 %". `share` is from 0 to 1.
std::string PercentText(double share);
// A whole number, or "?" for one that no counter can have.
std::string CountText(double count);
// "[||||    ]", `columns` wide.
std::string Bar(double share, size_t columns);
// The last `columns` values, the newest at the right end, each as high as its share of the largest of them.
std::string Curve(const std::vector<double>& values, size_t columns, Glyphs glyphs);

}  // namespace dray::cli
