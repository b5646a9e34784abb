// The loop over panels and blocks of rows that all weight formats share. A kernel is a type with
//
//   kMaxRows      the most rows of a block
//   kLineCols     columns in one 64-byte line of packed activations
//   kLinesPerIteration   such lines in one iteration of its loop over K
//   Panel<kRows, kSource>(TileArgs)   one block of rows against one panel
//
// A panel is finished, over all of K, for one block of rows after the other while it stays in the
// second-level cache.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/vec.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels::DRAY_ISA {
namespace {

#define DRAY_INLINE __attribute__((always_inline)) inline

// Where weights come from. With one block of rows they stream from memory once: every line is
// prefetched to L1 at a fixed distance. With several blocks the panel comes from L2, and each block
// fetches a part of the next panel into L2.
enum class Source { kMemory, kL2 };
constexpr int64_t kStreamAhead = 8 << 10;

template <Source kSource>
DRAY_INLINE void PrefetchStep(const std::byte* w, int lines) {
  if constexpr (kSource == Source::kMemory) {
    for (int i = 0; i < lines; ++i) PrefetchNear(w + kStreamAhead + i * kLineBytes);
  }
}

// Four k of quantised activations, and how many such steps a line of them holds.
constexpr int kQuadBytes = 4 * kQuantizedBytes;
constexpr int kQuadsPerLine = static_cast<int>(kLineBytes) / kQuadBytes;

struct NextPanel {
  const std::byte* lines;
  int lines_per_iteration;

  DRAY_INLINE void Fetch() {
    for (int i = 0; i < lines_per_iteration; ++i) PrefetchFar(lines + i * kLineBytes);
    lines += lines_per_iteration * kLineBytes;
  }
};

// One block of rows against one panel. Results go to acc_out[row][kPanelRows].
struct TileArgs {
  const std::byte* w;
  const std::byte* x;
  int64_t x_lines;
  NextPanel next;
  const float* scales;        // of the rows
  const int32_t* group_sums;  // [groups][rows]
  float* acc_out;
};

using PanelFunction = void (*)(const TileArgs&);

// Indexed by the number of rows less one.
template <typename Kernel, Source kSource>
struct PanelFunctions {
  PanelFunction of[Kernel::kMaxRows];
  template <int kRows = 1>
  constexpr void Fill() {
    of[kRows - 1] = Kernel::template Panel<kRows, kSource>;
    if constexpr (kRows < Kernel::kMaxRows) Fill<kRows + 1>();
  }
  constexpr PanelFunctions() : of{} { Fill(); }
};
template <typename Kernel, Source kSource>
constexpr PanelFunctions<Kernel, kSource> kPanelFunctions;

// bias, activation, add: from accumulators [rows][kPanelRows] to the output.
void Finish(const LinearArgs& args, const float* acc, Range rows, int64_t channel) {
  const int64_t channels = args.weight->rows() - channel;
  for (int64_t r = rows.begin; r < rows.end; ++r, acc += kPanelRows) {
    float* out = args.out + r * args.out_stride + channel;
    for (int64_t c = 0; c < kPanelRows && c < channels; c += kLanes) {
      const int64_t n = channels - c;
      Vec v = Load(acc + c);
      if (args.bias != nullptr) v = v + LoadUpTo(args.bias + channel + c, n);
      v = Activate(args.activation, v);
      if (args.mode == WriteMode::kAdd) v = v + LoadUpTo(out + c, n);
      StoreUpTo(out + c, v, n);
    }
  }
}

void PrefetchOutput(const LinearArgs& args, Range rows, int64_t channel) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* out = args.out + r * args.out_stride + channel;
    PrefetchForWrite(out);
    PrefetchForWrite(out + kLanes);
  }
}

template <typename Kernel>
void RunPanels(const LinearTask& task, Range panels) {
  const auto* weights = task.args->weight->data();
  const int64_t x_lines = task.layout.padded_cols / Kernel::kLineCols;
  const int64_t panel_lines = task.layout.panel_bytes / kLineBytes;
  const int64_t iterations = x_lines / Kernel::kLinesPerIteration * task.blocks.count;
  const auto& functions = task.blocks.count == 1 ? kPanelFunctions<Kernel, Source::kMemory>.of
                                                 : kPanelFunctions<Kernel, Source::kL2>.of;
  alignas(64) float acc[Kernel::kMaxRows * kPanelRows];
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    TileArgs tile{};
    tile.w = weights + p * task.layout.panel_bytes;
    tile.x_lines = x_lines;
    tile.next.lines = tile.w + task.layout.panel_bytes;
    tile.acc_out = acc;
    if (p + 1 < panels.end && iterations > 0) {
      tile.next.lines_per_iteration = static_cast<int>((panel_lines + iterations - 1) / iterations);
    }
    for (int64_t b = 0; b < task.blocks.count; ++b) {
      const Range rows{task.blocks.Begin(b), task.blocks.Begin(b + 1)};
      tile.x = task.activations + rows.begin * x_lines * kLineBytes;
      if (task.scales != nullptr) {
        tile.scales = task.scales + rows.begin;
        tile.group_sums = task.group_sums + rows.begin * task.layout.sums_per_row();
      }
      PrefetchOutput(*task.args, rows, p * kPanelRows);
      functions[rows.end - rows.begin - 1](tile);
      tile.next.lines +=
          x_lines / Kernel::kLinesPerIteration * tile.next.lines_per_iteration * kLineBytes;
      Finish(*task.args, acc, rows, p * kPanelRows);
    }
  }
}

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
