// Linear: packed activations times packed panels.
//
// One accumulator for each output, K strictly ascending: the result of a row is the same bits
// whatever the size of its block, so blocks may be cut by speed alone. A panel is finished, over
// all of K, for one block of rows after the other while it stays in the second-level cache.
#include <cstdint>

#include "kernels/cpu/isa/math.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {
namespace {

#define DRAY_INLINE __attribute__((always_inline)) inline

// A step of each format: 16 channels' vectors of kHalves neighbouring 64-byte lines at `w`, and for
// row r the activations at `x` + r * kLineBytes.
struct StepF32 {
  static constexpr int kStepsPerLine = 16;
  static constexpr int kActivationBytes = 4;  // of one step
  static constexpr int kTemporaries = 0;      // vectors beside accumulators and operands
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    Vec weights[kHalves];
    for (int h = 0; h < kHalves; ++h) {
      weights[h] = Load(reinterpret_cast<const float*>(w + h * kLineBytes));
    }
    for (int r = 0; r < kRows; ++r) {
      const Vec a = Set1(*reinterpret_cast<const float*>(x + r * kLineBytes));
      for (int h = 0; h < kHalves; ++h) acc[r][h] = Fma(weights[h], a, acc[r][h]);
    }
  }
};

// Two k in a step, widened to f32 by Widen::First and Widen::Second.
template <typename Widen>
struct StepWiden {
  static constexpr int kStepsPerLine = 8;
  static constexpr int kActivationBytes = 8;
  static constexpr int kTemporaries = 1;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    for (int k = 0; k < 2; ++k) {
      Vec weights[kHalves];
      for (int h = 0; h < kHalves; ++h) {
        const std::byte* line = w + h * kLineBytes;
        weights[h] = k == 0 ? Widen::First(line) : Widen::Second(line);
      }
      for (int r = 0; r < kRows; ++r) {
        const Vec a = Set1(reinterpret_cast<const float*>(x + r * kLineBytes)[k]);
        for (int h = 0; h < kHalves; ++h) acc[r][h] = Fma(weights[h], a, acc[r][h]);
      }
    }
  }
};
struct WidenF16 {
  static DRAY_INLINE Vec First(const std::byte* line) {
    return LoadF16(reinterpret_cast<const uint16_t*>(line));
  }
  static DRAY_INLINE Vec Second(const std::byte* line) {
    return LoadF16(reinterpret_cast<const uint16_t*>(line) + kLanes);
  }
};
struct WidenBF16 {
  static DRAY_INLINE Vec First(const std::byte* line) { return LoadBF16First(line); }
  static DRAY_INLINE Vec Second(const std::byte* line) { return LoadBF16Second(line); }
};
using StepF16 = StepWiden<WidenF16>;

#ifdef __AVX512BF16__
struct StepBF16 {
  static constexpr int kStepsPerLine = 16;
  static constexpr int kActivationBytes = 4;
  static constexpr int kTemporaries = 0;
  template <int kRows, int kHalves>
  static DRAY_INLINE void Run(const std::byte* w, const std::byte* x, Vec (&acc)[kRows][kHalves]) {
    __m512i weights[kHalves];
    for (int h = 0; h < kHalves; ++h) weights[h] = LoadPairs(w + h * kLineBytes);
    for (int r = 0; r < kRows; ++r) {
      int32_t pair;
      __builtin_memcpy(&pair, x + r * kLineBytes, sizeof(pair));
      for (int h = 0; h < kHalves; ++h) acc[r][h] = DotBF16(acc[r][h], weights[h], pair);
    }
  }
};
#else
using StepBF16 = StepWiden<WidenBF16>;
#endif

// Where weights come from. With one block of rows they stream from memory once: every line is
// prefetched to L1 at a fixed distance. With several blocks the panel comes from L2, and each block
// fetches a part of the next panel into L2.
enum class Source { kMemory, kL2 };
constexpr int64_t kStreamAhead = 8 << 10;

struct NextPanel {
  const std::byte* lines;
  int lines_per_iteration;
};

// One block of rows against `kHalves` halves of a panel: acc_out[row][half] is one vector; rows lie
// kPanelRows floats apart.
template <typename Step, int kRows, int kHalves, Source kSource>
DRAY_INLINE void Tile(const std::byte* w, const std::byte* x, int64_t x_lines, NextPanel next,
                      float* acc_out) {
  Vec acc[kRows][kHalves];
  for (int r = 0; r < kRows; ++r) {
    for (int h = 0; h < kHalves; ++h) acc[r][h] = Zero();
  }
  for (int64_t line = 0; line < x_lines; ++line) {
    if constexpr (kSource == Source::kL2) {
      for (int i = 0; i < next.lines_per_iteration; ++i) PrefetchFar(next.lines + i * kLineBytes);
      next.lines += next.lines_per_iteration * kLineBytes;
    }
#pragma GCC unroll 16
    for (int s = 0; s < Step::kStepsPerLine; ++s) {
      if constexpr (kSource == Source::kMemory) {
        for (int h = 0; h < kHalves; ++h) PrefetchNear(w + kStreamAhead + h * kLineBytes);
      }
      Step::template Run<kRows, kHalves>(w, x + s * Step::kActivationBytes, acc);
      w += kStepBytes;
    }
    x += kRows * kLineBytes;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int h = 0; h < kHalves; ++h) Store(acc_out + r * kPanelRows + h * kLanes, acc[r][h]);
  }
}

// Both halves of the panel at once where the registers hold them, else one after the other.
template <typename Step, int kRows, Source kSource>
void PanelBlock(const std::byte* w, const std::byte* x, int64_t x_lines, NextPanel next,
                float* acc_out) {
  if constexpr (2 * kRows + Step::kTemporaries <= kAccumulators) {
    Tile<Step, kRows, 2, kSource>(w, x, x_lines, next, acc_out);
  } else {
    Tile<Step, kRows, 1, kSource>(w, x, x_lines, next, acc_out);
    next.lines_per_iteration = 0;
    Tile<Step, kRows, 1, kSource>(w + kLineBytes, x, x_lines, next, acc_out + kLanes);
  }
}

using PanelFunction = void (*)(const std::byte*, const std::byte*, int64_t, NextPanel, float*);

// Indexed by the number of rows less one.
template <typename Step, Source kSource>
struct PanelFunctions {
  PanelFunction of[kMaxLinearRows];
  template <int kRows = 1>
  constexpr void Fill() {
    of[kRows - 1] = PanelBlock<Step, kRows, kSource>;
    if constexpr (kRows < kMaxLinearRows) Fill<kRows + 1>();
  }
  constexpr PanelFunctions() : of{} { Fill(); }
};
template <typename Step, Source kSource>
constexpr PanelFunctions<Step, kSource> kPanelFunctions;

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

template <typename Step>
void LinearPanels(const LinearTask& task, Range panels) {
  const auto* weights = task.args->weight->data();
  const int64_t line_cols = kLineBytes / Step::kActivationBytes * task.layout.cols_per_step();
  const int64_t x_lines = task.layout.padded_cols / line_cols;
  const int64_t panel_lines = task.layout.panel_bytes / kLineBytes;
  const bool stream = task.blocks.count == 1;
  const int64_t iterations = x_lines * task.blocks.count;
  alignas(64) float acc[kMaxLinearRows * kPanelRows];
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    const std::byte* w = weights + p * task.layout.panel_bytes;
    NextPanel next{w + task.layout.panel_bytes, 0};
    if (p + 1 < panels.end) {
      next.lines_per_iteration = static_cast<int>((panel_lines + iterations - 1) / iterations);
    }
    for (int64_t b = 0; b < task.blocks.count; ++b) {
      const Range rows{task.blocks.Begin(b), task.blocks.Begin(b + 1)};
      const int64_t num_rows = rows.end - rows.begin;
      const std::byte* x = task.activations + rows.begin * x_lines * kLineBytes;
      PrefetchOutput(*task.args, rows, p * kPanelRows);
      const auto& functions = stream ? kPanelFunctions<Step, Source::kMemory>.of
                                     : kPanelFunctions<Step, Source::kL2>.of;
      functions[num_rows - 1](w, x, x_lines, next, acc);
      next.lines += x_lines * next.lines_per_iteration * kLineBytes;
      Finish(*task.args, acc, rows, p * kPanelRows);
    }
  }
}

// The activations of one row into its place in a block of `block_rows` rows.
template <typename StoreLine>
void PackRow(const float* x, int64_t cols, int64_t padded_cols, std::byte* out, int64_t line_stride,
             int64_t line_cols, const StoreLine& store) {
  for (int64_t c = 0; c < padded_cols; c += line_cols, out += line_stride) {
    for (int64_t i = 0; i < line_cols; i += kLanes) {
      const int64_t n = cols - c - i;
      store(out, i, n > 0 ? LoadUpTo(x + c + i, n) : Zero());
    }
  }
}

template <typename StoreLine>
void PackBlocks(const PackActivationsTask& task, Range blocks, int64_t line_cols,
                const StoreLine& store) {
  const int64_t lines = task.padded_cols / line_cols;
  for (int64_t b = blocks.begin; b < blocks.end; ++b) {
    const int64_t begin = task.blocks.Begin(b), rows = task.blocks.Begin(b + 1) - begin;
    std::byte* out = task.out + begin * lines * kLineBytes;
    for (int64_t r = 0; r < rows; ++r) {
      PackRow(task.x + (begin + r) * task.x_stride, task.cols, task.padded_cols,
              out + r * kLineBytes, rows * kLineBytes, line_cols, store);
    }
  }
}

}  // namespace

void PackActivationsF32(const PackActivationsTask& task, Range blocks) {
  PackBlocks(task, blocks, kLanes,
             [](std::byte* line, int64_t, Vec v) { Store(reinterpret_cast<float*>(line), v); });
}

void PackActivationsBF16(const PackActivationsTask& task, Range blocks) {
  if constexpr (kHasBF16Dot) {
    PackBlocks(task, blocks, 2 * kLanes, [](std::byte* line, int64_t i, Vec v) {
      StoreBF16(reinterpret_cast<uint16_t*>(line) + i, v);
    });
  } else {
    // Rounded to bf16, but kept as f32: that is what this set's loop multiplies.
    PackBlocks(task, blocks, kLanes, [](std::byte* line, int64_t, Vec v) {
      uint16_t rounded[kLanes];
      StoreBF16(rounded, v);
      Store(reinterpret_cast<float*>(line), LoadBF16(rounded));
    });
  }
}

void LinearF32(const LinearTask& task, Range panels) { LinearPanels<StepF32>(task, panels); }
void LinearF16(const LinearTask& task, Range panels) { LinearPanels<StepF16>(task, panels); }
void LinearBF16(const LinearTask& task, Range panels) { LinearPanels<StepBF16>(task, panels); }

}  // namespace dray::kernels::DRAY_ISA
