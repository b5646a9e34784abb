#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace dray::bench {
namespace {

double SortedPercentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0.0;
  const double place = std::clamp(share, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - std::floor(place);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

}  // namespace

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return SortedPercentile(values, share);
}

double Median(std::vector<double> values) { return Percentile(std::move(values), 0.5); }

Summary Summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {.count = values.size(),
          .p50 = SortedPercentile(values, 0.5),
          .p90 = SortedPercentile(values, 0.9),
          .p99 = SortedPercentile(values, 0.99)};
}

}  // namespace dray::bench
