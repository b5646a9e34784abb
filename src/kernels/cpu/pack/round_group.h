// How a group of weights that share a scale becomes integers: its scale and zero point.
#pragma once

#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/pack/pack_words.h"

namespace dray::kernels {

// A group's scale and zero point as they are stored, and the numbers with which its weights are
// rounded. If the scale is too small for f16, all weights of the group become zero.
struct GroupRounding {
  float peak = 0;  // the weight that decides the scale; NaN if one is NaN or infinite
  GroupHeader header;
  QuantizeTask quantize;
};

// For the layout.group weights from `x` on. The scale is infinite or NaN if f16 does not hold it.
//
// In 4 bits the scale, and the zero point if there is one, are those among some candidates with which
// the squares of the errors have the least sum. A smaller scale than the one that covers all weights
// makes the steps finer, and cuts the few largest weights off.
GroupRounding RoundGroup(const IsaKernels& isa, const PanelLayout& layout, const float* x);

}  // namespace dray::kernels
