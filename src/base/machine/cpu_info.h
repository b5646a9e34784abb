// Facts about this machine's processors: how many this process may use, and which
// instructions they have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dray {

struct CpuFeatures {
  bool avx2 = false;  // with FMA and F16C, which every AVX2 machine that we support has
  bool avx_vnni = false;
  bool avx512 = false;  // F, BW, DQ, VL and CD together
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
};

// What both the processor and the operating system support; read once.
const CpuFeatures& DetectCpuFeatures();

// Logical processors that this process may run on, in ascending order: its affinity mask,
// at least one.
std::vector<int> AllowedCpus();
// How many threads are worth starting: AllowedCpus(), cut to the cgroup's processor quota.
int UsableCpuCount();
// The model name of the first processor, for reports.
std::string CpuModelName();

}  // namespace dray
