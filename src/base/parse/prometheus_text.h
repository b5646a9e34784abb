// Reads the text format in which servers show their metrics to Prometheus (version 0.0.4).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dray {

// One line: the value of a metric, or of one part of a histogram.
struct MetricLine {
  std::string name;
  // In the order of the line; no two have the same name.
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;  // may be infinite or NaN

  // The value of the label `key`; null if the line has no such label.
  const std::string* FindLabel(std::string_view key) const;
};

// The lines with values, in their order. Skips comments (HELP and TYPE among them) and time stamps. kCorrupt, with the
// number of the line, for a text that is not of this format.
Result<std::vector<MetricLine>> ParsePrometheusText(std::string_view text);

}  // namespace dray
