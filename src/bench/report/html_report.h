// Shows a report as one page without scripts and outside resources. It can be read on a phone, in
// dark mode and on paper.
#pragma once

#include <string>

#include "bench/report/report.h"

namespace dray::bench {

std::string ToHtml(const Report& report);

}  // namespace dray::bench
