// A report as one page that needs nothing else: no scripts, no outside resources, readable on a
// phone, in the dark and on paper.
#pragma once

#include <string>

#include "bench/report/report.h"

namespace dray::bench {

std::string ToHtml(const Report& report);

}  // namespace dray::bench
