// What many measurements of one thing come to.
#pragma once

#include <cstddef>
#include <vector>

namespace dray::bench {

// The value below which `share` (0 to 1) of the values lie, with straight lines between neighbours,
// as numpy and spreadsheets compute it; zero if there are none.
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
