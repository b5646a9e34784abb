// Linear: activations are packed once for each call, then threads take panels, each from its own
// contiguous share as long as there are some.
#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/cpu_backend.h"

namespace dray::kernels {
namespace {

// Up to this many activations each thread packs all of them for itself, which is cheaper than to
// wait for the others; the copies then also lie in its own cache.
constexpr int64_t kPackAloneElements = 16 << 10;
// Up to this many products (some microseconds) the caller does not wake the others at all.
constexpr int64_t kComputeAloneProducts = 64 << 10;

// Bytes of a call's packed activations, each part in whole cache lines.
struct ActivationSizes {
  int64_t packed = 0;
  int64_t scales = 0;
  int64_t sums = 0;

  ActivationSizes(const LinearTask& task, int64_t activation_bytes, int64_t groups) {
    const int64_t rows = task.blocks.rows;
    packed = RoundUp<int64_t>(rows * task.layout.padded_cols * activation_bytes, kLineBytes);
    if (IsInteger(task.layout.format)) {
      scales = RoundUp<int64_t>(rows * 4, kLineBytes);
      sums = RoundUp<int64_t>(rows * groups * 4, kLineBytes);
    }
  }
  int64_t total() const { return packed + scales + sums; }
};

// Both tasks of a thread, with their places in `memory`.
struct ThreadTasks {
  PackActivationsTask pack;
  LinearTask linear;
};

ThreadTasks Place(const LinearTask& task, const ActivationSizes& sizes, int64_t groups,
                  std::byte* memory) {
  ThreadTasks tasks;
  tasks.linear = task;
  tasks.linear.activations = memory;
  PackActivationsTask& pack = tasks.pack;
  pack.x = task.args->x;
  pack.x_stride = task.args->x_stride;
  pack.cols = task.args->weight->cols();
  pack.padded_cols = task.layout.padded_cols;
  pack.blocks = task.blocks;
  pack.out = memory;
  if (IsInteger(task.layout.format)) {
    pack.scales = reinterpret_cast<float*>(memory + sizes.packed);
    pack.group_sums = reinterpret_cast<int32_t*>(memory + sizes.packed + sizes.scales);
    pack.group_cols = task.layout.padded_cols / groups;
    tasks.linear.scales = pack.scales;
    tasks.linear.group_sums = pack.group_sums;
  }
  return tasks;
}

}  // namespace

void CpuBackend::Linear(const LinearArgs& args) {
  const WeightMatrix& weight = *args.weight;
  DRAY_DCHECK(args.rows == 0 || (args.x != nullptr && args.out != nullptr));
  if (args.rows == 0 || weight.rows() == 0) return;
  const auto format = static_cast<size_t>(weight.format());
  LinearTask task;
  task.args = &args;
  task.layout = PanelLayout(weight.spec());
  task.blocks = RowBlocks(
      args.rows, task.layout.group > 0 ? isa_.max_grouped_rows : isa_.max_linear_rows[format]);
  const int64_t padded_cols = task.layout.padded_cols;
  const int64_t groups = task.layout.sums_per_row();
  const ActivationSizes sizes(task, isa_.activation_bytes[format], groups);

  const bool pack_alone = args.rows * padded_cols <= kPackAloneElements;
  // Copies of two threads never share a page's worth of lines that a prefetcher may run over.
  const int64_t copy_bytes = pack_alone ? RoundUp<int64_t>(sizes.total() + 4096, 4096) : 0;
  std::byte* scratch =
      activations_.Get(static_cast<size_t>(sizes.total() + copy_bytes * pool_.num_threads()));
  const auto run = isa_.linear[format];
  const auto pack = isa_.pack_activations[format];
  const int64_t panels = task.layout.panels;

  if (args.rows * panels * kPanelRows * padded_cols <= kComputeAloneProducts) {
    const ThreadTasks tasks = Place(task, sizes, groups, scratch);
    pack(tasks.pack, Range{0, task.blocks.count});
    run(tasks.linear, Range{0, panels});
    return;
  }
  panel_shares_.Reset(panels, pool_.num_threads());
  pool_.Run([&](int thread_idx) {
    const ThreadTasks tasks = Place(task, sizes, groups, scratch + copy_bytes * thread_idx);
    if (pack_alone) {
      pack(tasks.pack, Range{0, task.blocks.count});
    } else {
      const auto [begin, end] = pool_.Share(task.blocks.count, thread_idx);
      pack(tasks.pack, Range{begin, end});
      pool_.Barrier();
    }
    for (;;) {
      const Range part = panel_shares_.Take(thread_idx);
      if (part.begin >= part.end) break;
      run(tasks.linear, part);
    }
  });
}

}  // namespace dray::kernels
