// Chooses among the instruction sets that this binary was built with.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

// The instruction sets that this processor can run, the best first. The last is always "portable".
std::vector<const IsaKernels*> AvailableIsas();

// Returns the set that `forced` names, or DRAY_ISA if `forced` is empty, or the best. kUnsupported
// if the named set is unknown or cannot run here; the message names those that can.
Result<const IsaKernels*> SelectIsa(std::string_view forced);

}  // namespace dray::kernels
