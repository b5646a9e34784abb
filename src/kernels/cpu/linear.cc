// Linear. The activations are packed once for each call. Then threads take panels of the weight,
// each from a contiguous share of its own until that is used up. The thread that has computed a
// panel also does what follows it, while its results are still in the cache.
#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/cpu_ops.h"

namespace dray::kernels {
namespace {

// Up to this many activations, each thread packs all of them for itself: that is cheaper than to
// wait for the others, and the copy lies in the thread's own cache.
constexpr int64_t kPackAloneElements = 16 << 10;
// Up to this many products (some microseconds), the caller computes alone.
constexpr int64_t kComputeAloneProducts = 64 << 10;

// Of the kernel that packs activations. Float inputs of integer weights are packed as those of bf16
// weights.
size_t InputFormat(const PanelLayout& layout) {
  const bool as_bf16 = IsInteger(layout.format) && !layout.rounds_inputs;
  return static_cast<size_t>(as_bf16 ? WeightFormat::kBF16 : layout.format);
}

// Bytes of a call's packed activations; each part fills whole cache lines.
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

// What one thread does in a call: it packs activations, then multiplies.
struct ThreadTasks {
  PackActivationsTask pack;
  LinearTask linear;
};

// The memory that the tasks of one thread use.
struct ThreadScratch {
  std::byte* activations;  // packed; perhaps shared by all threads
  float* normed;           // a row that is being normalised
  std::byte* expanded;     // LinearTask::expanded
};

ThreadTasks MakeTasks(const LinearTask& task, const ActivationSizes& sizes, int64_t groups,
                      const ThreadScratch& scratch) {
  std::byte* memory = scratch.activations;
  ThreadTasks tasks;
  tasks.linear = task;
  tasks.linear.activations = memory;
  tasks.linear.expanded = scratch.expanded;
  PackActivationsTask& pack = tasks.pack;
  pack.norm = task.args->norm;
  pack.normed = scratch.normed;
  pack.x = task.args->x.as<float>();
  pack.x_stride = task.args->x.stride;
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
void CpuOps::RunLinear(const LinearArgs& args, const Finished& finished) {
  const WeightMatrix& weight = *args.weight;
  DRAY_DCHECK(args.rows == 0 || (args.x.data != nullptr && args.out.data != nullptr));
  if (args.rows == 0 || weight.rows() == 0) return;
  const IsaKernels& isa = team_.isa();
  ThreadPool& pool = team_.pool();
  const auto format = static_cast<size_t>(weight.format());
  LinearTask task;
  task.args = &args;
  task.layout = PanelLayout(weight.spec());
  task.places = PanelPlaces(weight, task.layout);
  const size_t inputs = InputFormat(task.layout);
  task.blocks = RowBlocks(
      args.rows, task.layout.group > 0 ? isa.max_grouped_rows : isa.max_linear_rows[format]);
  const int64_t padded_cols = task.layout.padded_cols;
  const int64_t groups = task.layout.sums_per_row();
  const ActivationSizes sizes(task, isa.activation_bytes[inputs], groups);

  const bool pack_alone = args.rows * padded_cols <= kPackAloneElements;
  const int64_t normed_bytes =
      args.norm == nullptr ? 0 : padded_cols * static_cast<int64_t>(sizeof(float));
  const int64_t expanded_bytes =
      inputs != format && task.blocks.count > 2 ? ExpandedBytes(task.layout) : 0;
  const int64_t before_copy = normed_bytes + expanded_bytes;
  // Each thread has memory of its own: perhaps a row that is being normalised, a panel that is
  // widened, and a copy of the packed activations. A page lies between the parts of two threads, so
  // that no prefetcher runs from one into the other.
  constexpr int64_t kPage = 4096;
  const int64_t shared_bytes = RoundUp(sizes.total(), kPage);
  const int64_t thread_bytes =
      RoundUp((pack_alone ? sizes.total() : 0) + before_copy + kPage, kPage);
  std::byte* shared = GetScratch(activations_, shared_bytes + thread_bytes * pool.num_threads());
  if (shared == nullptr) return;
  std::byte* own = shared + shared_bytes;
  const auto tasks_of = [&](int thread_idx) {
    std::byte* mine = own + thread_bytes * thread_idx;
    return MakeTasks(task, sizes, groups,
                     {.activations = pack_alone ? mine + before_copy : shared,
                      .normed = reinterpret_cast<float*>(mine),
                      .expanded = mine + normed_bytes});
  };
  const auto run = isa.linear[format];
  const auto pack = isa.pack_activations[inputs];
  const int64_t panels = args.gated ? task.layout.panels / 2 : task.layout.panels;

  if (args.rows * task.layout.panels * kPanelRows * padded_cols <= kComputeAloneProducts) {
    const ThreadTasks tasks = tasks_of(0);
    pack(tasks.pack, Range{0, task.blocks.count});
    run(tasks.linear, Range{0, panels});
    finished(Range{0, panels});
    return;
  }
  panel_shares_.Reset(panels, pool.num_threads());
  pool.Run([&](int thread_idx) {
    const ThreadTasks tasks = tasks_of(thread_idx);
    if (pack_alone) {
      pack(tasks.pack, Range{0, task.blocks.count});
    } else {
      const auto [begin, end] = pool.Share(task.blocks.count, thread_idx);
      pack(tasks.pack, Range{begin, end});
      pool.Barrier();
    }
    for (;;) {
      const Range part = panel_shares_.Take(thread_idx);
      if (part.begin >= part.end) break;
      run(tasks.linear, part);
      finished(part);
    }
  });
}

void CpuOps::Linear(const LinearArgs& args) {
  if (!AreF32("Linear", {args.x.dtype, args.out.dtype})) return;
  DRAY_DCHECK(!args.gated || args.mode == WriteMode::kOverwrite);
  if (args.gated && args.weight->rows() % (2 * kPanelRows) != 0) {
    LinearThenGate(args);
  } else {
    RunLinear(args, [](Range) {});
  }
}

void CpuOps::LinearThenGate(const LinearArgs& args) {
  const int64_t both = args.weight->rows();
  const int64_t bytes = args.rows * both * static_cast<int64_t>(sizeof(float));
  auto* gates = reinterpret_cast<float*>(GetScratch(gates_, bytes));
  if (gates == nullptr) return;
  LinearArgs linear = args;
  linear.activation = Activation::kNone;
  linear.gated = false;
  linear.out = {gates, DType::kF32, both};
  RunLinear(linear, [](Range) {});
  // exp costs about as much as thirty loads.
  team_.Split(args.rows, 4 * bytes, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      team_.isa().gate(args.activation, gates + r * both, both / 2,
                       args.out.as<float>() + r * args.out.stride);
    }
  });
}

void CpuOps::QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) {
  if (!AreF32("QkvLinear", {linear.x.dtype, linear.out.dtype, heads.qkv.dtype})) return;
  DRAY_DCHECK(linear.out.data == heads.qkv.data && linear.rows == heads.num_tokens &&
              !linear.gated);
  const auto kernel = team_.isa().rope_and_cache[CacheFormat(heads.cache.dtype)];
  const int64_t head_dim = heads.cache.head_dim;
  const int64_t num_heads = heads.num_heads + 2 * heads.cache.num_kv_heads;
  // For each head, how many of its panels are still to be computed. The thread that computes the
  // last one rotates and stores the head.
  auto* missing = reinterpret_cast<int32_t*>(
      GetScratch(missing_panels_, num_heads * static_cast<int64_t>(sizeof(int32_t))));
  if (missing == nullptr) return;
  const auto panels_of = [&](int64_t head) {
    return Range{head * head_dim / kPanelRows,
                 DivideRoundUp<int64_t>((head + 1) * head_dim, kPanelRows)};
  };
  for (int64_t h = 0; h < num_heads; ++h) {
    missing[h] = static_cast<int32_t>(panels_of(h).end - panels_of(h).begin);
  }
  RunLinear(linear, [&](Range panels) {
    const int64_t last =
        std::min(num_heads, DivideRoundUp<int64_t>(panels.end * kPanelRows, head_dim));
    for (int64_t h = panels.begin * kPanelRows / head_dim; h < last; ++h) {
      const Range all = panels_of(h);
      const auto done =
          static_cast<int32_t>(std::min(all.end, panels.end) - std::max(all.begin, panels.begin));
      std::atomic_ref<int32_t> left(missing[h]);
      if (left.fetch_sub(done, std::memory_order_acq_rel) == done) kernel(heads, Range{h, h + 1});
    }
  });
}

}  // namespace dray::kernels
