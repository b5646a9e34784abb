// The kernel of 8-bit weights that have a scale for each row, with AVX2. Included by linear_int.cc.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/avx2_integers/int8_streamed_avx2_inl.h"
#include "kernels/cpu/isa/avx2_integers/loud_quads_avx2_inl.h"
#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/linear_loop_inl.h"

namespace dray::kernels::DRAY_ISA {
namespace {

struct Int8Kernel {
  static constexpr int kMaxRows = kMaxInt8Rows;
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  static constexpr int64_t kFetchCols = kLineCols;
  static constexpr Source kTwoBlocks = Source::kL2;

  static constexpr int64_t EvenFetches(int64_t cols) {
    return cols / kLineCols * kEvenFetchesPerLine;
  }

  template <int kRows, Source kSource>
  static void Panel(const TileArgs& args) {
    if constexpr (kRows >= kMinRowsToSetApart) {
      if (args.loud.quads != nullptr && args.loud.ends[0] != LoudQuads::kTooMany) {
        return StreamedPanel<kRows, PairedBytes, kSource>::Run(args);
      }
    }
    StreamedPanel<kRows, SignedBytes, kSource>::Run(args);
  }
};

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
