// The free list is a stack, so that the block used last, whose bytes may still be in a processor's
// cache, is used next.
#include "scheduler/block_pool.h"

#include <fmt/format.h>

#include "base/check.h"

namespace dray::scheduler {

BlockPool::BlockPool(int32_t num_blocks) : num_holders_(static_cast<size_t>(num_blocks), 0) {
  free_.reserve(static_cast<size_t>(num_blocks));
  for (int32_t i = num_blocks - 1; i >= 0; --i) free_.push_back(BlockId(i));
}

size_t BlockPool::Index(BlockId block) const {
  const auto index = static_cast<size_t>(block.value());
  DRAY_CHECK(index < num_holders_.size());
  return index;
}

std::optional<BlockId> BlockPool::Allocate() {
  if (free_.empty()) return std::nullopt;
  const BlockId block = free_.back();
  free_.pop_back();
  num_holders_[Index(block)] = 1;
  return block;
}

void BlockPool::Share(BlockId block) {
  int32_t& holders = num_holders_[Index(block)];
  DRAY_CHECK(holders > 0);
  ++holders;
}

void BlockPool::Release(BlockId block) {
  int32_t& holders = num_holders_[Index(block)];
  DRAY_CHECK(holders > 0);
  if (--holders == 0) free_.push_back(block);
}

Status BlockPool::CheckIntegrity() const {
  size_t num_held = 0;
  for (const int32_t holders : num_holders_) num_held += holders > 0 ? 1 : 0;
  if (free_.size() + num_held != num_holders_.size()) {
    return Status(StatusCode::kInternal, fmt::format("{} free and {} held blocks are not {} in all",
                                                     free_.size(), num_held, num_holders_.size()));
  }
  // A right sum does not exclude that the free list holds one block twice and lacks another one.
  std::vector<bool> seen(num_holders_.size(), false);
  for (const BlockId block : free_) {
    const size_t index = Index(block);
    if (num_holders_[index] == 0 && !seen[index]) {
      seen[index] = true;
      continue;
    }
    return Status(StatusCode::kInternal, fmt::format("block {} is in the free list {}", index,
                                                     seen[index] ? "twice" : "and has a holder"));
  }
  return OkStatus();
}

}  // namespace dray::scheduler
