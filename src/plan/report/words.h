// The parts of a plan in words, the same in every form of the report.
#pragma once

#include <string>
#include <vector>

#include "plan/planner.h"

namespace dray::plan {

// "bloom-176b: 176,247,271,424 parameters, 70 layers, 112 heads, int8 weights, bf16 cache"
std::string DescribeModel(const Plan& plan);
// One line for hosts that are alike: "2 x p4d.24xlarge: 8 x a100-40 (40.00 GB, 1.56 TB/s, ...)".
std::vector<std::string> DescribeHosts(const Plan& plan);
// "4 sequences of 512 + 128 tokens, cache for 2048 tokens each"
std::string DescribeWorkload(const Plan& plan);

// "8" or "4 x 2": ranks of a stage, and stages if there are several.
std::string Name(const Degrees& degrees);
// "16 us", "12.3 ms", "1.24 s", "4.1 min"
std::string HumanSeconds(double seconds);
// The time from the disk, or else over the network; "" if neither is known.
std::string LoadTime(const LoadTimes& times);
// The reasons, or else the notes, as one line.
std::string Remarks(const PlanRow& row);

}  // namespace dray::plan
