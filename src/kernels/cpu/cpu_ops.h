// The operations on the host's processors: each is split over the threads, which call the chosen
// instruction set's kernels. Activations are f32; any other format makes the step fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "kernels/cpu/cpu_team.h"
#include "kernels/cpu/panel_shares.h"
#include "kernels/cpu/scratch.h"
#include "kernels/ops.h"

namespace dray::kernels {

class CpuOps final : public Ops {
 public:
  explicit CpuOps(CpuTeam& team) : team_(team) {}

  void Embed(const EmbedArgs& args) override;
  void Norm(const NormArgs& args) override;
  void Linear(const LinearArgs& args) override;
  void QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) override;
  void Attention(const AttentionArgs& args) override;
  void GatherRows(const GatherRowsArgs& args) override;
  void CopyBlocks(const CopyBlocksArgs& args) override;

 private:
  // Whether all activations are f32. If not, the step fails and `operation` must do nothing.
  bool AreF32(std::string_view operation, std::initializer_list<DType> dtypes);
  // Null if there is no memory: then the step fails and the operation must do nothing.
  std::byte* GetScratch(Scratch& scratch, int64_t size_bytes);
  // Runs Linear for a weight whose gates, if it is gated, fill whole panels. Calls
  // finished(Range panels) from the thread that has computed them.
  template <typename Finished>
  void RunLinear(const LinearArgs& args, const Finished& finished);
  // Runs Linear in two passes: all gates and values, then their product.
  void LinearThenGate(const LinearArgs& args);

  CpuTeam& team_;
  PanelShares panel_shares_{team_.pool().max_threads()};
  Scratch activations_;
  Scratch gates_;
  Scratch missing_panels_;
  Scratch attention_;
  Scratch attention_plan_;
};

}  // namespace dray::kernels
