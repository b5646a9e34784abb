// Who holds which block of the paged KV cache, as counts only: a block's bytes live with the model.
// A block may have several holders (samples that share their prompt); it is free again when the
// last lets go.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/status.h"

namespace dray::scheduler {

// Every operation but CheckIntegrity takes constant time and allocates nothing.
class BlockPool {
 public:
  // Blocks 0 to num_blocks - 1, all free.
  explicit BlockPool(int32_t num_blocks);

  // A free block, now with one holder; none if all are held. The block freed last comes first.
  std::optional<BlockId> Allocate();
  // One more holder of a block that is held.
  void Share(BlockId block);
  // One holder less.
  void Release(BlockId block);

  int32_t num_blocks() const { return static_cast<int32_t>(num_holders_.size()); }
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t num_holders(BlockId block) const { return num_holders_[Index(block)]; }

  // Verifies free + held = total, each block in exactly one of the two. kInternal names the first
  // block that breaks it.
  Status CheckIntegrity() const;

 private:
  size_t Index(BlockId block) const;

  std::vector<BlockId> free_;
  std::vector<int32_t> num_holders_;
};

}  // namespace dray::scheduler
