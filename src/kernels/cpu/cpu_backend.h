// The host's processors as a backend: splits each operation over a team of threads and calls the
// chosen instruction set's kernels.
//
// Threads: as Backend says, one caller at a time; the team takes turns with those
// of other backends.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/threads/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/cpu/isa_kernels.h"
#include "kernels/cpu/panel_shares.h"
#include "kernels/cpu/scratch.h"

namespace dray::kernels {

class CpuBackend final : public Backend {
 public:
  CpuBackend(const IsaKernels& isa, const CpuBackendOptions& options);

  std::string Describe() const override;
  std::string_view isa() const override { return isa_.name; }
  void BeginStep(int64_t num_tokens) override;
  void EndStep() override { pool_.EndTurn(); }
  void AdoptThread() override { pool_.BindCaller(); }
  Allocator& allocator() override { return HostAllocator(); }

  void CopyFromHost(void* device_dst, const void* host_src, size_t bytes) override;
  void CopyToHost(void* host_dst, const void* device_src, size_t bytes) override;

  WeightFormat NativeFormat(DType dtype) const override;
  Result<WeightMatrix> AllocateMatrix(const MatrixSpec& spec) override;
  void PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) override;
  void PackQuantizedRows(WeightMatrix& matrix, int64_t first_row, const QuantizedSource& source,
                         std::span<const int64_t> rows) override;

  void Embed(const EmbedArgs& args) override;
  void Norm(const NormArgs& args) override;
  void Linear(const LinearArgs& args) override;
  void QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) override;
  void Attention(const AttentionArgs& args) override;
  void GatherRows(const GatherRowsArgs& args) override;
  void CopyBlocks(const CopyBlocksArgs& args) override;
  void Copy(void* dst, const void* src, size_t bytes) override;

 private:
  // Calls body(Range) for parts of `count` items on all threads, or once on this one when the
  // work, `bytes` touched in all, is too little to be worth waking the others.
  template <typename Body>
  void Split(int64_t count, int64_t bytes, const Body& body);
  // Linear, but that a gate's values fill whole panels. Calls finished(Range panels) from the
  // thread that has computed them.
  template <typename Finished>
  void RunLinear(const LinearArgs& args, const Finished& finished);
  // Linear, first to gates and values, then gated.
  void LinearThenGate(const LinearArgs& args);

  const IsaKernels& isa_;
  int num_threads_;
  int num_prompt_threads_;
  ThreadPool pool_;
  PanelShares panel_shares_{pool_.num_threads()};
  Scratch activations_;
  Scratch gates_;
  Scratch unfinished_;
  Scratch attention_;
  Scratch attention_plan_;
};

template <typename Body>
void CpuBackend::Split(int64_t count, int64_t bytes, const Body& body) {
  // A region costs a microsecond or two, in which one thread touches some tens of KiB of cache.
  constexpr int64_t kWorthWaking = 64 << 10;
  if (count <= 1 || bytes < kWorthWaking) {
    if (count > 0) body(Range{0, count});
    return;
  }
  pool_.Run([&](int thread_idx) {
    const auto [begin, end] = pool_.Share(count, thread_idx);
    if (begin < end) body(Range{begin, end});
  });
}

}  // namespace dray::kernels
