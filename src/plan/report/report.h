// A plan as text for a terminal, as JSON, as a picture, and as a page with that picture.
#pragma once

#include <string>

#include "plan/planner.h"

namespace dray::plan {

std::string ToText(const Plan& plan);
// Bytes, seconds and tokens a second as plain numbers; absent figures are null. The keys are listed
// in docs/plan.md.
std::string ToJson(const Plan& plan);
// One SVG image: for each pair of degrees a bar of the memory of a rank beside what its device has,
// and the times of prompt and token.
std::string ToSvg(const Plan& plan);
// A page without scripts and outside resources: the picture and a table.
std::string ToHtml(const Plan& plan);

}  // namespace dray::plan
