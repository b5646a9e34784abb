// Summaries of many measurements of one quantity.
#pragma once

#include <cstddef>
#include <vector>

namespace dray::bench {

// The value below which `share` (in [0, 1]) of the values lie, interpolated linearly between
// neighbours as numpy and spreadsheets do; zero if there are no values.
double Percentile(std::vector<double> values, double share);
double Median(std::vector<double> values);

struct Summary {
  size_t count = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
};
Summary Summarize(std::vector<double> values);

}  // namespace dray::bench
