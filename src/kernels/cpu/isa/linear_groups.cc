// Linear with integer weights that have a scale, and perhaps a zero point, for each
// group of columns.
//
// Numbers are stored unsigned. The integer sum of a group is exact, so its order is free. The sums
// of groups are added as floats, in ascending order.
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/isa/groups_in_memory_inl.h"
#include "kernels/cpu/isa/groups_in_registers_inl.h"
#include "kernels/cpu/isa/ops.h"
#if defined(DRAY_SATURATING_BYTES)
#include "kernels/cpu/isa/avx2_integers/unpacked_nibbles_avx2_inl.h"
#endif

namespace dray::kernels::DRAY_ISA {
namespace {

template <typename Step, int kGroup, ZeroPoint kZeroPoint>
void RunKernel(const LinearTask& task, Range panels) {
#if defined(DRAY_SATURATING_BYTES)
  if constexpr (std::is_same_v<Step, NibbleStep>) {
    if (task.blocks.count >= kMinBlocksToUnpack)
      return ForPanels(task, panels, UnpackedPanel<kGroup, kZeroPoint>::Run);
  }
#endif
  if constexpr (kGroupSumsInRegisters) {
    RunPanels<RegisterGroupKernel<Step, kGroup, kZeroPoint>>(task, panels);
  } else {
    RunPanels<MemoryGroupKernel<Step, kGroup, kZeroPoint>>(task, panels);
  }
}

template <typename Step, int kGroup>
void RunGroups(const LinearTask& task, Range panels) {
  if (task.layout.has_zeros()) {
    RunKernel<Step, kGroup, ZeroPoint::kPerGroup>(task, panels);
  } else {
    RunKernel<Step, kGroup, ZeroPoint::kNone>(task, panels);
  }
}

template <typename Step>
void RunAnyGroups(const LinearTask& task, Range panels) {
  switch (task.layout.group) {
    case 32:
      return RunGroups<Step, 32>(task, panels);
    case 128:
      return RunGroups<Step, 128>(task, panels);
    default:
      return RunGroups<Step, 64>(task, panels);
  }
}

}  // namespace

void LinearI4(const LinearTask& task, Range panels) { RunAnyGroups<NibbleStep>(task, panels); }
void LinearGroupsI8(const LinearTask& task, Range panels) { RunAnyGroups<ByteStep>(task, panels); }

}  // namespace dray::kernels::DRAY_ISA
