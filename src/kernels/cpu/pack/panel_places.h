// Where the panels of a matrix lie (panel_layout.h): one after the other, or, in a part that shares
// the memory of a larger matrix, each at an address of its own. A part with some of the columns has
// its panels inside longer ones, so bytes of other columns lie between two of them, and, in int8
// rows, also between a panel's scales and its first step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/pack/panel_layout.h"
#include "kernels/weight_matrix.h"

namespace dray::kernels {

class PanelPlaces {
 public:
  PanelPlaces() = default;
  // The matrix must outlive the object.
  PanelPlaces(const WeightMatrix& matrix, const PanelLayout& layout)
      : base_(matrix.bytes()),
        panels_(matrix.blocks().empty() ? nullptr : matrix.blocks().data()),
        panel_bytes_(layout.panel_bytes),
        scale_bytes_(layout.scale_bytes()),
        skipped_bytes_(matrix.skipped_bytes()) {}

  // The panel's scales if it is one of int8 rows, else its first step or group.
  const std::byte* Begin(int64_t panel) const {
    return panels_ == nullptr ? base_ + panel * panel_bytes_ : panels_[panel];
  }
  const std::byte* FirstStep(int64_t panel) const {
    return Begin(panel) + scale_bytes_ + skipped_bytes_;
  }
  int64_t skipped_bytes() const { return skipped_bytes_; }

 private:
  const std::byte* base_ = nullptr;
  const std::byte* const* panels_ = nullptr;
  int64_t panel_bytes_ = 0;
  int64_t scale_bytes_ = 0;
  int64_t skipped_bytes_ = 0;
};

}  // namespace dray::kernels
