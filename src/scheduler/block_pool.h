// Counts the holders of each block of the paged KV cache; the bytes of the blocks are the model
// runner's. A block may have several holders, namely samples that share their prompt. It is free
// again when the last of them has released it.
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

  // Returns a free block, which now has one holder, or none if all are held. The block that was
  // freed last is returned first.
  std::optional<BlockId> Allocate();
  // Adds a holder to a block that is held.
  void Share(BlockId block);
  // Removes a holder; the block is free if it was the last one.
  void Release(BlockId block);

  int32_t num_blocks() const { return static_cast<int32_t>(num_holders_.size()); }
  int32_t num_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t num_holders(BlockId block) const { return num_holders_[Index(block)]; }

  // Verifies that each block is either held or in the free list, and in the list at most once. The
  // error, kInternal, names the first block for which this is not so.
  Status CheckIntegrity() const;

 private:
  size_t Index(BlockId block) const;

  std::vector<BlockId> free_;
  std::vector<int32_t> num_holders_;
};

}  // namespace dray::scheduler
