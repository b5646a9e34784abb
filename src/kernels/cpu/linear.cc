// Linear. The activations are packed once for each call. Then threads take panels of the weight,
// each from a contiguous share of its own until that is used up. A thread of another rank that would
// wait for this one takes panels, too (base/threads/helper_slot.h). The thread that has computed a
// panel also does what follows it, while its results are still in the cache.
#include <algorithm>
#include <atomic>
#include <optional>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/threads/helper_slot.h"
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
  int64_t loud_ends = 0;
  int64_t loud_quads = 0;

  ActivationSizes() = default;
  ActivationSizes(const LinearTask& task, int64_t activation_bytes, bool sets_quads_apart) {
    const int64_t rows = task.blocks.rows, cols = task.layout.padded_cols;
    packed = RoundUp<int64_t>(rows * cols * activation_bytes, kLineBytes);
    if (task.layout.rounds_inputs) {
      scales = RoundUp<int64_t>(rows * 4, kLineBytes);
      sums = RoundUp<int64_t>(rows * task.sums_per_row * 4, kLineBytes);
    }
    if (sets_quads_apart) {
      constexpr auto kQuadBytes = static_cast<int64_t>(sizeof(LoudQuad));
      loud_ends = RoundUp<int64_t>(rows * 4, kLineBytes);
      loud_quads = RoundUp<int64_t>(rows * MostLoudQuads(cols) * kQuadBytes, kLineBytes);
    }
  }
  int64_t total() const { return packed + scales + sums + loud_ends + loud_quads; }
};

// The number of sums of quantised activations that Linear needs for each row.
int64_t SumsPerRow(const PanelLayout& layout, const IsaKernels& isa) {
  if (layout.group == 0 || layout.padded_cols == 0) return 1;
  return layout.padded_cols / std::min(layout.group, isa.max_sum_cols);
}

bool IsInt8WithoutGroups(const PanelLayout& layout) {
  return layout.format == WeightFormat::kI8 && layout.group == 0;
}

// The bytes of LinearTask::expanded.
int64_t BytesToExpand(const LinearTask& task) {
  constexpr int64_t kMinBlocks = 3;
  const bool expands = IsInt8WithoutGroups(task.layout) && !task.layout.rounds_inputs &&
                       task.blocks.count >= kMinBlocks;
  return expands ? ExpandedBytes(task.layout) : 0;
}

bool SetsQuadsApart(const LinearTask& task, const IsaKernels& isa) {
  return IsInt8WithoutGroups(task.layout) && task.layout.rounds_inputs &&
         isa.min_rows_to_set_apart > 0 && task.blocks.rows >= isa.min_rows_to_set_apart;
}

// What one thread does in a call: it packs activations, then multiplies.
struct ThreadTasks {
  PackActivationsTask pack;
  LinearTask linear;
};

// How a call is computed, and in which memory.
class LinearCall {
 public:
  LinearCall(const IsaKernels& isa, const LinearArgs& args);

  // Bytes of memory for `num_threads` threads.
  int64_t MemoryBytes(int num_threads) const { return shared_bytes_ + thread_bytes_ * num_threads; }
  void SetMemory(std::byte* memory) { memory_ = memory; }

  const RowBlocks& blocks() const { return task_.blocks; }
  // Whether each thread packs all activations for itself.
  bool packs_alone() const { return packs_alone_; }
  // Panels of the output. If the weights are gated, those of the gates.
  int64_t num_panels() const {
    return task_.args->gated ? task_.layout.panels / 2 : task_.layout.panels;
  }
  int64_t num_products() const {
    return task_.args->rows * task_.layout.panels * kPanelRows * task_.layout.padded_cols;
  }

  // The tasks of the thread with this number, in its own part of the memory.
  ThreadTasks TasksOf(int thread_idx) const;
  void Pack(const ThreadTasks& tasks, Range blocks) const { pack_(tasks.pack, blocks); }
  void Multiply(const ThreadTasks& tasks, Range panels) const { multiply_(tasks.linear, panels); }

 private:
  LinearTask task_;
  bool packs_alone_ = false;
  void (*pack_)(const PackActivationsTask& task, Range blocks) = nullptr;
  void (*multiply_)(const LinearTask& task, Range panels) = nullptr;

  // Each thread has memory of its own: perhaps a row that is being normalised, a panel that is
  // expanded, and a copy of the packed activations. Packed activations that all threads share lie
  // before that.
  ActivationSizes sizes_;
  int64_t normed_bytes_ = 0;
  int64_t expanded_bytes_ = 0;
  int64_t shared_bytes_ = 0;
  int64_t thread_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

LinearCall::LinearCall(const IsaKernels& isa, const LinearArgs& args) {
  const WeightMatrix& weight = *args.weight;
  const auto format = static_cast<size_t>(weight.format());
  task_.args = &args;
  task_.layout = PanelLayout(weight.spec());
  task_.places = PanelPlaces(weight, task_.layout);
  const size_t inputs = InputFormat(task_.layout);
  task_.blocks = RowBlocks(
      args.rows, task_.layout.group > 0 ? isa.max_grouped_rows : isa.max_linear_rows[inputs]);
  task_.sums_per_row = SumsPerRow(task_.layout, isa);
  pack_ = isa.pack_activations[inputs];
  multiply_ = isa.linear[format];
  const int64_t padded_cols = task_.layout.padded_cols;
  packs_alone_ = args.rows * padded_cols <= kPackAloneElements;

  sizes_ = ActivationSizes(task_, isa.activation_bytes[inputs], SetsQuadsApart(task_, isa));
  if (args.norm != nullptr) normed_bytes_ = padded_cols * static_cast<int64_t>(sizeof(float));
  expanded_bytes_ = BytesToExpand(task_);
  // A page lies between the parts of two threads, so that no prefetcher runs from one into the other.
  constexpr int64_t kPage = 4096;
  shared_bytes_ = packs_alone_ ? 0 : RoundUp(sizes_.total(), kPage);
  thread_bytes_ =
      RoundUp(normed_bytes_ + expanded_bytes_ + (packs_alone_ ? sizes_.total() : 0) + kPage, kPage);
}

ThreadTasks LinearCall::TasksOf(int thread_idx) const {
  std::byte* const own = memory_ + shared_bytes_ + thread_bytes_ * thread_idx;
  std::byte* const packed = packs_alone_ ? own + normed_bytes_ + expanded_bytes_ : memory_;
  const LinearArgs& args = *task_.args;
  ThreadTasks tasks;
  tasks.linear = task_;
  tasks.linear.activations = packed;
  tasks.linear.expanded = own + normed_bytes_;
  PackActivationsTask& pack = tasks.pack;
  pack.norm = args.norm;
  pack.normed = reinterpret_cast<float*>(own);
  pack.x = args.x.as<float>();
  pack.x_stride = args.x.stride;
  pack.cols = args.weight->cols();
  pack.padded_cols = task_.layout.padded_cols;
  pack.blocks = task_.blocks;
  pack.out = packed;
  if (task_.layout.rounds_inputs) {
    std::byte* const scales = packed + sizes_.packed;
    std::byte* const sums = scales + sizes_.scales;
    pack.scales = reinterpret_cast<float*>(scales);
    pack.input_sums = reinterpret_cast<int32_t*>(sums);
    if (sizes_.loud_quads > 0) {
      std::byte* const ends = sums + sizes_.sums;
      pack.loud = {reinterpret_cast<LoudQuad*>(ends + sizes_.loud_ends),
                   reinterpret_cast<int32_t*>(ends)};
      tasks.linear.loud = pack.loud;
    }
    pack.input_scale = args.weight->spec().input_scale;
    pack.sum_cols = task_.layout.padded_cols / task_.sums_per_row;
    tasks.linear.scales = pack.scales;
    tasks.linear.input_sums = pack.input_sums;
  }
  return tasks;
}

}  // namespace

template <typename Finished>
void CpuOps::RunLinear(const LinearArgs& args, const Finished& finished) {
  DRAY_DCHECK(args.rows == 0 || (args.x.data != nullptr && args.out.data != nullptr));
  if (args.rows == 0 || args.weight->rows() == 0) return;
  ThreadPool& pool = team_.pool();
  LinearCall call(team_.isa(), args);
  const int helper_idx = pool.num_threads();
  std::byte* const memory = GetScratch(activations_, call.MemoryBytes(pool.num_threads() + 1));
  if (memory == nullptr) return;
  call.SetMemory(memory);
  const Range all_blocks = {0, call.blocks().count};
  if (call.num_products() <= kComputeAloneProducts) {
    const ThreadTasks tasks = call.TasksOf(0);
    const Range all_panels = {0, call.num_panels()};
    call.Pack(tasks, all_blocks);
    call.Multiply(tasks, all_panels);
    finished(all_panels);
    return;
  }
  panel_shares_.Reset(call.num_panels(), pool.num_threads());
  const auto multiply = [&](const ThreadTasks& tasks, int thread_idx) {
    for (;;) {
      const Range part = panel_shares_.Take(thread_idx);
      if (part.begin >= part.end) break;
      call.Multiply(tasks, part);
      finished(part);
    }
  };
  const auto help = [&] {
    const ThreadTasks tasks = call.TasksOf(helper_idx);
    if (call.packs_alone()) call.Pack(tasks, all_blocks);
    multiply(tasks, helper_idx);
  };
  pool.Run([&](int thread_idx) {
    const ThreadTasks tasks = call.TasksOf(thread_idx);
    if (call.packs_alone()) {
      call.Pack(tasks, all_blocks);
    } else {
      const auto [begin, end] = pool.Share(call.blocks().count, thread_idx);
      call.Pack(tasks, Range{begin, end});
      pool.Barrier();
    }
    std::optional<HelpOffer> offer;
    if (thread_idx == 0) offer.emplace(pool.helper_slot(), help);
    multiply(tasks, thread_idx);
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
