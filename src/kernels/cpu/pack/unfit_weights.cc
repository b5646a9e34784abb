#include "kernels/cpu/pack/unfit_weights.h"

#include <fmt/format.h>

#include <cmath>

namespace dray::kernels {

void UnfitWeights::Note(int64_t row, std::string_view what, float value) {
  const std::lock_guard lock(mutex_);
  if (row_ >= 0 && row_ <= row) return;
  row_ = row;
  what_ = what;
  value_ = value;
}

Status UnfitWeights::Check(const MatrixSpec& spec) const {
  const std::lock_guard lock(mutex_);
  if (row_ < 0) return OkStatus();
  const std::string form = Name(WeightForm(spec.format, spec.group, spec.zero, spec.inputs));
  if (!std::isfinite(value_)) {
    return {StatusCode::kCorrupt,
            fmt::format("a {} is {}, which {} cannot hold; the file is damaged, or its numbers "
                        "overflowed when they were computed: get it or convert it again",
                        what_, value_, form)};
  }
  return {StatusCode::kUnsupported,
          fmt::format("a {} is {:g}, too large for {}, whose scales are f16 and end at 65504; use "
                      "dtype bf16, or int8 without groups",
                      what_, value_, form)};
}

}  // namespace dray::kernels
