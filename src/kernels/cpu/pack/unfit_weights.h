// Weights and scales that integer matrices cannot hold. Without this check a NaN would become an
// ordinary integer, and the model would answer with wrong text instead of an error.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/status.h"
#include "kernels/weight_matrix.h"

namespace dray::kernels {

// Collects what several threads find while they pack one source.
class UnfitWeights {
 public:
  // A `what` ("weight" or "scale", which must outlive this object) in a row of the matrix cannot be
  // stored: `value` is NaN, infinite, or beyond the format's scales.
  void Note(int64_t row, std::string_view what, float value);
  // kCorrupt or kUnsupported with the value in the lowest row that was noted; OK if there is none.
  Status Check(const MatrixSpec& spec) const;

 private:
  mutable std::mutex mutex_;
  int64_t row_ = -1;  // -1: nothing was noted
  std::string_view what_;
  float value_ = 0;
};

}  // namespace dray::kernels
