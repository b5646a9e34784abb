// Parts of the report's page.
#pragma once

#include <string>
#include <string_view>

#include "bench/report/report.h"

namespace dray::bench {

// Writes & < > " ' as character references.
std::string EscapeHtml(std::string_view text);

// A section with a heading, lines over a linear axis that begins at zero, and a legend.
std::string ChartSection(const LineChart& chart);

}  // namespace dray::bench
