// Pieces of the report's page.
#pragma once

#include <string>
#include <string_view>

#include "bench/report/report.h"

namespace dray::bench {

// & < > " ' as character references.
std::string EscapeHtml(std::string_view text);

// Lines over a linear axis from zero, with a legend, as a section with a heading.
std::string ChartSection(const LineChart& chart);

}  // namespace dray::bench
