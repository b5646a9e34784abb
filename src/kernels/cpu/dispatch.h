// The choice among the instruction sets that this binary was built with.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels {

// Those that this processor can run, best first; "portable" is always there.
std::vector<const IsaKernels*> AvailableIsas();

// `forced`, or DRAY_ISA if that is empty, or the best. kUnsupported, naming what there is, if a
// forced one is unknown or cannot run here.
Result<const IsaKernels*> SelectIsa(std::string_view forced);

}  // namespace dray::kernels
