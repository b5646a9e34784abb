// The loop over panels and blocks of rows that all weight formats share. A kernel is a type with
//
//   kMaxRows      the most rows of a block
//   kLineCols     columns in one 64-byte line of packed activations
//   kFetchCols    columns for which it calls NextPanel::Fetch with step 0 once
//   kTwoBlocks    the source for two blocks: kShared, or kL2 if kShared is not faster
//   Panel<kRows, kSource>(TileArgs)   multiplies one block of rows with one panel
//
// and perhaps, where weights come from kL2:
//
//   EvenFetches(cols)   it calls NextPanel::FetchOne so often for so many columns, in place of Fetch
//   kAddsToSums         it adds to the sums in TileArgs; they begin as zeros
//   kPartCols           the most columns that it multiplies at a time with all blocks; 0: all. Only with
//                       kAddsToSums.
//   kPanelLineBytes     bytes of a panel for each line of activations, if there are kPartCols
//
// A panel is multiplied, over all of K or over kPartCols, with one block of rows after the other, while
// it stays in the second-level cache.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// Where weights come from.
//
//   kMemory  one block of rows: they stream from memory once, and every line is prefetched (PrefetchStep)
//   kShared  two blocks: the panel comes from L2, and memory is nearly as busy as the arithmetic,
//            so each step prefetches one line of the next panel
//   kL2      more blocks: some lines of the next panel are prefetched together, once for each line
//            of activations, which disturbs the arithmetic least
enum class Source { kMemory, kShared, kL2 };

// Arithmetic of at most so many cycles a step ends well before the step's two lines are read: that takes
// about 18 cycles (26 GB/s at 3.6 GHz).
constexpr int kFewCycles = 12;
// With so little arithmetic, lines are prefetched into L1. f32 has the distance of a loop that only reads and prefetches.
constexpr int64_t kOnlyReadingAhead = 8 << 10;
// The distance of the other formats is measured. On Zen 3, which has AVX2 alone, one row of int8 reads at 0.94 of the
// bandwidth with 1 KiB and at 0.83 with 8 KiB, one of int4 at 0.91 and 0.80, since the processor's own prefetchers go on
// from there. One row of f32 reads at 29.5 GB/s with 1 KiB and at 33.9 with 8 KiB.
#ifdef __AVX512F__
constexpr int64_t kReadingAhead = kOnlyReadingAhead;
#else
constexpr int64_t kReadingAhead = 1 << 10;
#endif
// With more arithmetic, lines are prefetched far ahead into L2, whose many outstanding reads keep the
// memory busy meanwhile, and then into L1. At 8 rows of bf16 on Zen 4, reading and arithmetic together
// took 1.14 times as long as the longer one if lines were fetched 8 KiB ahead, and 1.03 times at 16 KiB.
constexpr int64_t kFarAhead = 16 << 10;
constexpr int64_t kNearAhead = 4 << 10;
static_assert(kFarAhead <= kReadAhead);

// Prefetches `lines` lines for a later step. `kCycles` is about how many cycles the arithmetic of a step
// takes for all rows, kAhead the distance if they are few.
template <Source kSource, int kCycles, int64_t kAhead = kReadingAhead>
DRAY_INLINE void PrefetchStep(const std::byte* w, int lines) {
  if constexpr (kSource == Source::kMemory) {
    for (int i = 0; i < lines; ++i) {
      const std::byte* line = w + i * kLineBytes;
      if constexpr (kCycles <= kFewCycles) {
        PrefetchNear(line + kAhead);
      } else {
        PrefetchFar(line + kFarAhead);
        PrefetchNear(line + kNearAhead);
      }
    }
  }
}

// The part of the next panel that a block of rows prefetches.
struct NextPanel {
  const std::byte* at;
  int64_t lines_at_once;
  int64_t stride = 0;  // of FetchOne; perhaps less than a line

  DRAY_INLINE void FetchOne() {
    PrefetchFar(at);
    at += stride;
  }

  template <Source kSource>
  DRAY_INLINE void Fetch(int step) {
    if constexpr (kSource == Source::kShared) {
      PrefetchFar(at);
      at += kLineBytes;
    }
    if constexpr (kSource == Source::kL2) {
      if (step != 0) return;
      // A builtin, because the compiler would not move arithmetic past assembly.
      for (int64_t i = 0; i < lines_at_once; ++i) __builtin_prefetch(at + i * kLineBytes, 0, 2);
      at += lines_at_once * kLineBytes;
    }
  }
};

// Multiplies one block of rows with one panel. The sums go to acc_out[row][kPanelRows].
struct TileArgs {
  const std::byte* w;         // the panel's first step or group
  const float* panel_scales;  // of int8 rows
  const std::byte* x;
  int64_t x_lines;
  NextPanel next;
  const float* scales;        // of the rows
  const int32_t* input_sums;  // [sums_per_row][rows]: LinearTask's
  LoudQuads loud;             // of the block of rows; null: none are set apart
  float* acc_out;
  int64_t block;        // of rows
  std::byte* expanded;  // LinearTask's
};

// Multiplies one block of rows with one panel by Kernel::Tile<kRows, kHalves, kSource>(args, first_half,
// next): with both halves at once if Kernel::HoldsBothHalves(kRows), which reads weights in the order
// of memory, and else with one half after the other.
template <typename Kernel, int kRows, Source kSource>
DRAY_INLINE void RunHalves(const TileArgs& args) {
  if constexpr (Kernel::HoldsBothHalves(kRows)) {
    Kernel::template Tile<kRows, 2, kSource>(args, 0, args.next);
  } else {
    Kernel::template Tile<kRows, 1, kSource>(args, 0, args.next);
    NextPanel rest{args.next.at, 0, args.next.stride};
    if constexpr (requires { Kernel::EvenFetches(int64_t{1}); }) {
      rest.at += args.next.stride * Kernel::EvenFetches(args.x_lines * Kernel::kLineCols) / 2;
    }
    Kernel::template Tile<kRows, 1, kSource>(args, 1, rest);
  }
}

using PanelFunction = void (*)(const TileArgs&);

// The fewest rows of a block where there are `blocks` blocks or more: RowBlocks shares rows out
// evenly, and (blocks - 1) * kMaxRows rows would still fit one block less.
template <typename Kernel>
constexpr int LeastRows(int blocks) {
  return ((blocks - 1) * Kernel::kMaxRows + 1) / blocks;
}

// How many blocks of rows there are at least when weights come from `source`.
template <typename Kernel>
constexpr int LeastBlocks(Source source) {
  if (source == Source::kMemory) return 1;
  return source == Kernel::kTwoBlocks ? 2 : 3;
}

// Indexed by the number of rows less one; null for numbers of rows that no block has.
template <typename Kernel, Source kSource>
struct PanelFunctions {
  PanelFunction of[Kernel::kMaxRows];
  template <int kRows = LeastRows<Kernel>(LeastBlocks<Kernel>(kSource))>
  constexpr void Fill() {
    of[kRows - 1] = Kernel::template Panel<kRows, kSource>;
    if constexpr (kRows < Kernel::kMaxRows) Fill<kRows + 1>();
  }
  constexpr PanelFunctions() : of{} { Fill(); }
};
template <typename Kernel, Source kSource>
constexpr PanelFunctions<Kernel, kSource> kPanelFunctions;

// A panel, and the place of its channels in the output.
struct PanelPart {
  int64_t panel;
  bool is_value;  // the panel has the values of gates, which are in the output already

  int64_t channel() const { return panel * kPanelRows; }
  int64_t out_channel(const LinearArgs& args) const {
    return is_value ? channel() - args.weight->rows() / 2 : channel();
  }
};

// The bias of a panel's channels; zero where there is none.
struct PanelBias {
  static constexpr int kVecs = kPanelRows / kLanes;
  Vec of[kVecs];

  PanelBias(const LinearArgs& args, int64_t channel) {
    const int64_t channels = args.weight->rows() - channel;
    for (int v = 0; v < kVecs; ++v) {
      const int64_t at = v * kLanes;
      of[v] = args.bias != nullptr && at < channels
                  ? LoadUpTo(args.bias + channel + at, channels - at)
                  : Zero();
    }
  }
};

// Writes combine(sum + bias, old output) to the output, from the accumulators [rows][kPanelRows].
// This is most of the work beside the multiplication, so whole panels have no masks and branches.
template <bool kWhole, typename Combine>
void FinishRows(const LinearArgs& args, const float* acc, Range rows, const PanelPart& part,
                const Combine& combine) {
  const int64_t channel = part.channel();
  const int64_t channels = kWhole ? kPanelRows : args.weight->rows() - channel;
  const PanelBias bias(args, channel);
  float* out = args.out.as<float>() + rows.begin * args.out.stride + part.out_channel(args);
  for (int64_t r = rows.begin; r < rows.end; ++r, acc += kPanelRows, out += args.out.stride) {
    for (int v = 0; v < PanelBias::kVecs; ++v) {
      const int64_t at = v * kLanes, n = kWhole ? kLanes : channels - at;
      if (n > 0) StoreUpTo(out + at, combine(Load(acc + at) + bias.of[v], out + at, n), n);
    }
  }
}

// Replaces accumulators by activation(sum + bias). A function of its own does so for all rows, since
// an activation has more constants than FinishRows has registers left.
void ActivateSums(const LinearArgs& args, float* acc, Range rows, const PanelPart& part) {
  const PanelBias bias(args, part.channel());
  const int64_t count = (rows.end - rows.begin) * kPanelRows;
  for (int64_t i = 0; i < count; i += kPanelRows) {
    for (int v = 0; v < PanelBias::kVecs; ++v) {
      float* at = acc + i + v * kLanes;
      Store(at, Load(at) + bias.of[v]);
    }
  }
  ActivateArray(args.activation, acc, acc, count);
}

template <bool kWhole>
void FinishPanel(const LinearArgs& args, float* acc, Range rows, const PanelPart& part) {
  if (part.is_value) {
    FinishRows<kWhole>(args, acc, rows, part,
                       [](Vec v, const float* out, int64_t n) { return LoadUpTo(out, n) * v; });
    return;
  }
  LinearArgs rest = args;
  if (args.activation != Activation::kNone) {
    ActivateSums(args, acc, rows, part);
    rest.bias = nullptr;
  }
  if (args.mode == WriteMode::kAdd) {
    FinishRows<kWhole>(rest, acc, rows, part,
                       [](Vec v, const float* out, int64_t n) { return v + LoadUpTo(out, n); });
  } else {
    FinishRows<kWhole>(rest, acc, rows, part, [](Vec v, const float*, int64_t) { return v; });
  }
}

void Finish(const LinearArgs& args, float* acc, Range rows, const PanelPart& part) {
  if (args.weight->rows() - part.channel() >= kPanelRows) {
    FinishPanel<true>(args, acc, rows, part);
  } else {
    FinishPanel<false>(args, acc, rows, part);
  }
}

void PrefetchOutput(const LinearArgs& args, Range rows, const PanelPart& part) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* out = args.out.as<float>() + r * args.out.stride + part.out_channel(args);
    PrefetchForWrite(out);
    PrefetchForWrite(out + kLanes);
  }
}

template <typename Kernel>
constexpr PanelFunction FunctionFor(const RowBlocks& blocks, int64_t rows) {
  const int64_t i = rows - 1;
  if (blocks.count == 1) return kPanelFunctions<Kernel, Source::kMemory>.of[i];
  if constexpr (Kernel::kTwoBlocks == Source::kShared) {
    if (blocks.count == 2) return kPanelFunctions<Kernel, Source::kShared>.of[i];
  }
  return kPanelFunctions<Kernel, Source::kL2>.of[i];
}

template <typename Kernel>
constexpr bool AddsToSums() {
  if constexpr (requires { Kernel::kAddsToSums; }) return Kernel::kAddsToSums;
  return false;
}
template <typename Kernel>
constexpr bool HasParts() {
  if constexpr (requires { Kernel::kPartCols; }) return Kernel::kPartCols > 0;
  return false;
}

// One of `count` equal parts of the columns.
struct ColumnPart {
  int64_t index = 0;
  int64_t count = 1;
};

// The part of the panel at `next` that block `b` prefetches while a part of the columns is multiplied.
template <typename Kernel>
NextPanel PartOfNext(const LinearTask& task, const std::byte* next, int64_t b,
                     const ColumnPart& part) {
  const int64_t bytes = task.layout.panel_bytes, blocks = task.blocks.count;
  if constexpr (requires { Kernel::EvenFetches(int64_t{1}); }) {
    if (blocks >= LeastBlocks<Kernel>(Source::kL2)) {
      const int64_t fetches = Kernel::EvenFetches(task.layout.padded_cols) * blocks;
      return {next + bytes * (part.index * blocks + b) / (part.count * blocks), 0,
              (bytes - 1) / fetches + 1};
    }
  }
  const int64_t panel_lines = bytes / kLineBytes;
  if (Kernel::kTwoBlocks == Source::kShared && blocks == 2)
    return {next + b * (panel_lines / 2) * kLineBytes, 0};
  const int64_t fetches = task.layout.padded_cols / Kernel::kFetchCols;
  const int64_t at_once = fetches > 0 ? (panel_lines - 1) / (fetches * blocks) + 1 : 0;
  return {next + b * fetches * at_once * kLineBytes, at_once};
}

// Multiplies one panel with blocks of rows, and prefetches the panel `next` meanwhile.
template <typename Kernel>
class PanelRun {
 public:
  PanelRun(const LinearTask& task, const PanelPart& panel, int64_t next)
      : task_(task),
        panel_(panel),
        next_(task.places.Begin(next) + task.places.skipped_bytes()),
        x_lines_(task.layout.padded_cols / Kernel::kLineCols) {
    tile_.panel_scales = reinterpret_cast<const float*>(task.places.Begin(panel.panel));
    tile_.expanded = task.expanded;
  }

  void Run() {
    if constexpr (HasParts<Kernel>()) {
      if (task_.layout.padded_cols > Kernel::kPartCols &&
          task_.blocks.count >= LeastBlocks<Kernel>(Source::kL2)) {
        return RunInParts();
      }
    }
    alignas(64) float acc[kBlockSums];
    for (int64_t b = 0; b < task_.blocks.count; ++b) {
      PrefetchOutput(*task_.args, RowsOf(b), panel_);
      Multiply(b, ColumnPart{}, acc);
      Finish(*task_.args, acc, RowsOf(b), panel_);
    }
  }

 private:
  static constexpr int64_t kBlockSums = Kernel::kMaxRows * kPanelRows;

  Range RowsOf(int64_t b) const { return {task_.blocks.Begin(b), task_.blocks.Begin(b + 1)}; }

  // Multiplies block `b` with a part of the columns. `acc` has the sums of the parts before.
  void Multiply(int64_t b, const ColumnPart& part, float* acc) {
    const Range rows = RowsOf(b);
    const int64_t count = rows.end - rows.begin;
    const int64_t line = x_lines_ * part.index / part.count;
    tile_.w = task_.places.FirstStep(panel_.panel);
    if constexpr (HasParts<Kernel>()) tile_.w += line * Kernel::kPanelLineBytes;
    tile_.x = task_.activations + (rows.begin * x_lines_ + line * count) * kLineBytes;
    tile_.x_lines = x_lines_ * (part.index + 1) / part.count - line;
    tile_.next = PartOfNext<Kernel>(task_, next_, b, part);
    tile_.acc_out = acc;
    tile_.block = b;
    if (task_.scales != nullptr) {
      tile_.scales = task_.scales + rows.begin;
      tile_.input_sums = task_.input_sums + rows.begin * task_.sums_per_row;
      tile_.loud = task_.loud.From(rows.begin, task_.layout.padded_cols);
    }
    if (AddsToSums<Kernel>() && part.index == 0) {
      for (int64_t i = 0; i < count * kPanelRows; i += kLanes) Store(acc + i, Zero());
    }
    FunctionFor<Kernel>(task_.blocks, count)(tile_);
  }

  // The sums of some blocks wait in memory from one part of the columns to the next.
  __attribute__((noinline)) void RunInParts() {
    constexpr int64_t kMostBlocks = 64;
    alignas(64) float sums[kMostBlocks * kBlockSums];
    const int64_t blocks = task_.blocks.count;
    const int64_t groups = (blocks - 1) / kMostBlocks + 1;
    const int64_t parts = (task_.layout.padded_cols - 1) / Kernel::kPartCols + 1;
    for (int64_t g = 0; g < groups; ++g) {
      const Range group{blocks * g / groups, blocks * (g + 1) / groups};
      const auto sums_of = [&](int64_t b) { return sums + (b - group.begin) * kBlockSums; };
      for (int64_t p = 0; p < parts; ++p) {
        for (int64_t b = group.begin; b < group.end; ++b) Multiply(b, {p, parts}, sums_of(b));
      }
      for (int64_t b = group.begin; b < group.end; ++b) {
        Finish(*task_.args, sums_of(b), RowsOf(b), panel_);
      }
    }
  }

  const LinearTask& task_;
  const PanelPart panel_;
  const std::byte* const next_;
  const int64_t x_lines_;
  TileArgs tile_{};
};

// Calls run(task, part, next panel) for all panels of the output.
template <typename Run>
void ForPanels(const LinearTask& task, Range panels, const Run& run) {
  const int64_t values = task.args->gated ? task.layout.panels / 2 : 0;
  const int64_t last = (values > 0 ? values : task.layout.panels) - 1;
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    // Behind the last panel, lines are prefetched that are in the cache already: that costs least.
    const int64_t next = p < last ? p + 1 : p;
    run(task, PanelPart{p, false}, values > 0 ? p + values : next);
    if (values > 0) run(task, PanelPart{p + values, true}, next);
  }
}

template <typename Kernel>
void RunPanels(const LinearTask& task, Range panels) {
  ForPanels(task, panels, [](const LinearTask& linear, const PanelPart& part, int64_t next) {
    PanelRun<Kernel>(linear, part, next).Run();
  });
}

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
