// Linear: activations are packed once for each call, then threads take contiguous ranges of panels.
#include "base/check.h"
#include "kernels/cpu/cpu_backend.h"

namespace dray::kernels {
namespace {

// Up to this many activations each thread packs all of them for itself, which is cheaper than to
// wait for the others; the copies then also lie in its own cache.
constexpr int64_t kPackAloneElements = 16 << 10;

}  // namespace

void CpuBackend::Linear(const LinearArgs& args) {
  const WeightMatrix& weight = *args.weight;
  DRAY_DCHECK(args.rows == 0 || (args.x != nullptr && args.out != nullptr));
  if (args.rows == 0 || weight.rows() == 0) return;
  const auto format = static_cast<size_t>(weight.format());
  LinearTask task;
  task.args = &args;
  task.layout = PanelLayout(weight.format(), weight.rows(), weight.cols());
  task.blocks = RowBlocks(args.rows, isa_.max_linear_rows);

  PackActivationsTask pack;
  pack.x = args.x;
  pack.x_stride = args.x_stride;
  pack.cols = weight.cols();
  pack.padded_cols = task.layout.padded_cols;
  pack.blocks = task.blocks;

  const int64_t bytes = args.rows * pack.padded_cols * isa_.activation_bytes[format];
  const bool alone = args.rows * pack.padded_cols <= kPackAloneElements;
  // Copies of two threads never share a page's worth of lines that a prefetcher may run over.
  const int64_t copy_bytes = alone ? (bytes + 8191) / 4096 * 4096 : 0;
  std::byte* scratch =
      activations_.Get(static_cast<size_t>(bytes + copy_bytes * pool_.num_threads()));
  const auto kernel = isa_.linear[format];
  const auto pack_kernel = isa_.pack_activations[format];

  pool_.Run([&](int thread_idx) {
    PackActivationsTask my_pack = pack;
    LinearTask my_task = task;
    my_pack.out = scratch + copy_bytes * thread_idx;
    my_task.activations = my_pack.out;
    if (alone) {
      pack_kernel(my_pack, Range{0, pack.blocks.count});
    } else {
      const auto [begin, end] = pool_.Share(pack.blocks.count, thread_idx);
      pack_kernel(my_pack, Range{begin, end});
      pool_.Barrier();
    }
    const auto [begin, end] = pool_.Share(task.layout.panels, thread_idx);
    kernel(my_task, Range{begin, end});
  });
}

}  // namespace dray::kernels
