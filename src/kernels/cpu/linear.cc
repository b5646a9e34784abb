// Linear: activations are packed once for each call, then threads take panels, each from its own
// contiguous share as long as there are some. What follows of a panel follows in the thread that
// computed it, while its results are in the cache.
#include <algorithm>
#include <atomic>

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

// Inputs that stay floats beside integer weights are packed as beside bf16.
size_t InputFormat(const PanelLayout& layout) {
  const bool as_bf16 = IsInteger(layout.format) && !layout.rounds_inputs;
  return static_cast<size_t>(as_bf16 ? WeightFormat::kBF16 : layout.format);
}

// Bytes of a call's packed activations, each part in whole cache lines.
struct ActivationSizes {
  int64_t packed = 0;
  int64_t scales = 0;
  int64_t sums = 0;

  ActivationSizes(const LinearTask& task, int64_t activation_bytes, int64_t groups) {
    const int64_t rows = task.blocks.rows;
    packed = RoundUp<int64_t>(rows * task.layout.padded_cols * activation_bytes, kLineBytes);
    if (task.layout.rounds_inputs) {
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
                  std::byte* memory, float* normed, std::byte* expanded) {
  ThreadTasks tasks;
  tasks.linear = task;
  tasks.linear.activations = memory;
  tasks.linear.expanded = expanded;
  PackActivationsTask& pack = tasks.pack;
  pack.norm = task.args->norm;
  pack.normed = normed;
  pack.x = task.args->x;
  pack.x_stride = task.args->x_stride;
  pack.cols = task.args->weight->cols();
  pack.padded_cols = task.layout.padded_cols;
  pack.blocks = task.blocks;
  pack.out = memory;
  if (task.layout.rounds_inputs) {
    pack.scales = reinterpret_cast<float*>(memory + sizes.packed);
    pack.group_sums = reinterpret_cast<int32_t*>(memory + sizes.packed + sizes.scales);
    pack.input_scale = task.args->weight->spec().input_scale;
    pack.group_cols = task.layout.padded_cols / groups;
    tasks.linear.scales = pack.scales;
    tasks.linear.group_sums = pack.group_sums;
  }
  return tasks;
}

}  // namespace

template <typename Finished>
void CpuBackend::RunLinear(const LinearArgs& args, const Finished& finished) {
  const WeightMatrix& weight = *args.weight;
  DRAY_DCHECK(args.rows == 0 || (args.x != nullptr && args.out != nullptr));
  if (args.rows == 0 || weight.rows() == 0) return;
  const auto format = static_cast<size_t>(weight.format());
  LinearTask task;
  task.args = &args;
  task.layout = PanelLayout(weight.spec());
  const size_t inputs = InputFormat(task.layout);
  task.blocks = RowBlocks(
      args.rows, task.layout.group > 0 ? isa_.max_grouped_rows : isa_.max_linear_rows[format]);
  const int64_t padded_cols = task.layout.padded_cols;
  const int64_t groups = task.layout.sums_per_row();
  const ActivationSizes sizes(task, isa_.activation_bytes[inputs], groups);

  const bool pack_alone = args.rows * padded_cols <= kPackAloneElements;
  const int64_t normed_bytes =
      args.norm == nullptr ? 0 : padded_cols * static_cast<int64_t>(sizeof(float));
  const int64_t expanded_bytes =
      inputs != format && task.blocks.count > 2 ? ExpandedBytes(task.layout) : 0;
  const int64_t before_copy = normed_bytes + expanded_bytes;
  // Each thread's own memory, of which that of two never shares a page's worth of lines that a
  // prefetcher may run over: perhaps a row that is being normalised, a panel that is widened,
  // and a copy.
  constexpr int64_t kPage = 4096;
  const int64_t shared_bytes = RoundUp(sizes.total(), kPage);
  const int64_t thread_bytes =
      RoundUp((pack_alone ? sizes.total() : 0) + before_copy + kPage, kPage);
  std::byte* shared =
      activations_.Get(static_cast<size_t>(shared_bytes + thread_bytes * pool_.num_threads()));
  std::byte* own = shared + shared_bytes;
  const auto place = [&](int thread_idx) {
    std::byte* mine = own + thread_bytes * thread_idx;
    return Place(task, sizes, groups, pack_alone ? mine + before_copy : shared,
                 reinterpret_cast<float*>(mine), mine + normed_bytes);
  };
  const auto run = isa_.linear[format];
  const auto pack = isa_.pack_activations[inputs];
  const int64_t panels = args.gated ? task.layout.panels / 2 : task.layout.panels;

  if (args.rows * task.layout.panels * kPanelRows * padded_cols <= kComputeAloneProducts) {
    const ThreadTasks tasks = place(0);
    pack(tasks.pack, Range{0, task.blocks.count});
    run(tasks.linear, Range{0, panels});
    finished(Range{0, panels});
    return;
  }
  panel_shares_.Reset(panels, pool_.num_threads());
  pool_.Run([&](int thread_idx) {
    const ThreadTasks tasks = place(thread_idx);
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
      finished(part);
    }
  });
}

void CpuBackend::Linear(const LinearArgs& args) {
  DRAY_DCHECK(!args.gated || args.mode == WriteMode::kOverwrite);
  if (args.gated && args.weight->rows() % (2 * kPanelRows) != 0) {
    LinearThenGate(args);
  } else {
    RunLinear(args, [](Range) {});
  }
}

void CpuBackend::LinearThenGate(const LinearArgs& args) {
  const int64_t both = args.weight->rows();
  auto* gates =
      reinterpret_cast<float*>(gates_.Get(static_cast<size_t>(args.rows * both) * sizeof(float)));
  LinearArgs linear = args;
  linear.activation = Activation::kNone;
  linear.gated = false;
  linear.out = gates;
  linear.out_stride = both;
  RunLinear(linear, [](Range) {});
  // exp costs about as much as some thirty loads
  Split(args.rows, 4 * args.rows * both * static_cast<int64_t>(sizeof(float)), [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      isa_.gate(args.activation, gates + r * both, both / 2, args.out + r * args.out_stride);
    }
  });
}

void CpuBackend::QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) {
  DRAY_DCHECK(linear.out == heads.qkv && linear.rows == heads.num_tokens && !linear.gated);
  const auto kernel = isa_.rope_and_cache[CacheFormat(heads.cache.dtype)];
  const int64_t head_dim = heads.cache.head_dim;
  const int64_t num_heads = heads.num_heads + 2 * heads.cache.num_kv_heads;
  // Panels of each head that are not there yet: who brings the last one goes on with the head.
  auto* unfinished =
      reinterpret_cast<int32_t*>(unfinished_.Get(static_cast<size_t>(num_heads) * sizeof(int32_t)));
  const auto panels_of = [&](int64_t head) {
    return Range{head * head_dim / kPanelRows,
                 DivideRoundUp<int64_t>((head + 1) * head_dim, kPanelRows)};
  };
  for (int64_t h = 0; h < num_heads; ++h) {
    unfinished[h] = static_cast<int32_t>(panels_of(h).end - panels_of(h).begin);
  }
  RunLinear(linear, [&](Range panels) {
    const int64_t last =
        std::min(num_heads, DivideRoundUp<int64_t>(panels.end * kPanelRows, head_dim));
    for (int64_t h = panels.begin * kPanelRows / head_dim; h < last; ++h) {
      const Range all = panels_of(h);
      const auto done =
          static_cast<int32_t>(std::min(all.end, panels.end) - std::max(all.begin, panels.begin));
      std::atomic_ref<int32_t> left(unfinished[h]);
      if (left.fetch_sub(done, std::memory_order_acq_rel) == done) kernel(heads, Range{h, h + 1});
    }
  });
}

}  // namespace dray::kernels
