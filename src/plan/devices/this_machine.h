// The machine that dray runs on, measured: its limits as `dray bench` measures them, the memory that
// this process may take, what a sum over two ranks costs, what a single processor reads, and how fast products read
// weights.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "kernels/weight_matrix.h"
#include "plan/devices/devices.h"

namespace dray::plan {

// What dray's kernels reach of the arithmetic of a processor, as `dray bench` measured them (bench/results/limits.md):
// prompts compute with 0.87 of the rate for floats, and with 0.68 to 0.85 of the rate for 8-bit integers.
inline constexpr double kProcessorFloatShare = 0.87;
inline constexpr double kProcessorIntegerShare = 0.77;
// The same where the processor multiplies 4-bit weights faster than bytes (AVX2 without VNNI). Bytes: some activations
// are multiplied apart, and products of 128 to 512 rows reach 0.66 to 0.70 (bench/results/avx2.md). 4-bit weights: the
// sums of each group are widened and scaled in between; prompts of 128 tokens reach 0.64 to 0.74 (bench/results/plan.md).
inline constexpr double kProcessorByteShare = 0.68;
inline constexpr double kProcessorNibbleShare = 0.70;
// The rates of 4-bit and 8-bit products are the same instruction's if they differ by less than this factor, which is
// more than two measurements of one rate differ.
inline constexpr double kSameRate = 1.15;
// How fast a decoding step reads weights, of what products of large matrices do: a step has attention, norms and the
// choice of a token beside its products, and matrices of 1 B models are smaller. Measured: 0.84 to 0.93 with AVX-512,
// 0.95 to 0.99 with AVX2 alone (bench/results/plan.md).
inline constexpr double kProductShare = 0.92;

// What was measured of this machine.
struct MachineFigures {
  bench::LimitsSample limits;
  // Bytes a second at which products with one row read the planned model's weights (bench/machine/product_bandwidth.h).
  double product_bandwidth = 0;
  Link sums;  // of two ranks
};

// This machine, with such figures. `num_devices` of its processors compute.
Host MachineWith(const MachineFigures& figures, int64_t num_devices);

// Measures all of it, for weights of `form`; takes about two seconds. `num_threads` of the machine's processors
// compute; 0: all that this process may use. Fails if the memory for the measurement cannot be had.
Result<Host> MeasureThisMachine(int num_threads, const kernels::WeightForm& form);

// The time of a sum between two ranks that are threads and come to it at the same time. In a model they nearly do,
// since a rank that is early helps the other one (docs/communicators.md).
Result<Link> MeasureSums();

}  // namespace dray::plan
