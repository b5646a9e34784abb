// The machine that dray runs on, measured: its limits as `dray bench` measures them, the memory that
// this process may take, what a sum over two ranks costs, and what a single processor reads.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "plan/devices/devices.h"

namespace dray::plan {

// What dray's kernels reach of the limits of a processor, as `dray bench` and bench/plan_bench.cc measured
// them (bench/results/limits.md, plan.md): decoding reads with 0.80 to 0.98 of the bandwidth, prompts
// compute with 0.87 of the rate for floats, and with 0.68 to 0.85 of the rate for 8-bit integers.
inline constexpr double kProcessorMemoryShare = 0.92;
inline constexpr double kProcessorFloatShare = 0.87;
inline constexpr double kProcessorIntegerShare = 0.77;

// This machine, with limits and sums that were measured. `num_devices` of its processors compute.
Host MachineWith(const bench::LimitsSample& limits, const Link& sums, int64_t num_devices);

// Measures all of it; takes about two seconds. `num_threads` of the machine's processors compute; 0: all
// that this process may use. Fails if the memory for the measurement cannot be had.
Result<Host> MeasureThisMachine(int num_threads);

// The time of a sum between two ranks that are threads and come to it at the same time. In a model they nearly do,
// since a rank that is early helps the other one (docs/communicators.md).
Result<Link> MeasureSums();

}  // namespace dray::plan
