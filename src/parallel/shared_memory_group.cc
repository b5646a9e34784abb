#include "parallel/shared_memory_group.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "parallel/memory/memory_communicator.h"

namespace dray::parallel {
namespace {

Result<GroupMemory> MapGroup(const MemoryFile& file) {
  DRAY_ASSIGN_OR_RETURN(Region region, file.Map());
  return GroupMemory::Attach(std::move(region));
}

// Claims the rank and says so in the group's memory.
Status Join(const MemoryFile& file, const GroupMemory& memory, int64_t rank) {
  const int64_t world = memory.shape().world;
  if (rank < 0 || rank >= world) {
    return {StatusCode::kInvalidArgument,
            fmt::format("rank {}: the group has ranks 0 to {}", rank, world - 1)};
  }
  if (!file.Claim(rank)) {
    return {
        StatusCode::kInvalidArgument,
        fmt::format("rank {} of {} is another process already; start each rank once", rank, world)};
  }
  // A process that takes the place of one that has ended would begin to count where the other one
  // began.
  if (memory.line(rank).attached.exchange(1, std::memory_order_acq_rel) != 0) {
    return {
        StatusCode::kInvalidArgument,
        fmt::format("rank {} of {} has ended before; start the whole group again", rank, world)};
  }
  return OkStatus();
}

}  // namespace

SharedMemoryGroup::SharedMemoryGroup(MemoryFile file, GroupMemory memory)
    : file_(std::move(file)), memory_(std::move(memory)) {}

Result<SharedMemoryGroup> SharedMemoryGroup::Create(const SharedMemoryGroupSpec& spec) {
  const GroupShape shape{spec.world, spec.max_count};
  DRAY_RETURN_IF_ERROR(CheckShape(shape));
  DRAY_ASSIGN_OR_RETURN(MemoryFile file,
                        MemoryFile::Create("dray-ranks", GroupMemory::SizeBytes(shape)));
  DRAY_ASSIGN_OR_RETURN(Region region, file.Map());
  return SharedMemoryGroup(
      std::move(file),
      GroupMemory::Format(std::move(region), shape, SpinTime(spec.world * spec.threads_per_rank)));
}

Result<std::unique_ptr<Communicator>> JoinSharedMemoryGroup(const SharedMemoryRankSpec& spec) {
  DRAY_ASSIGN_OR_RETURN(MemoryFile file, MemoryFile::Open(spec.descriptor));
  DRAY_ASSIGN_OR_RETURN(GroupMemory mapped, MapGroup(file));
  const auto memory = std::make_shared<const GroupMemory>(std::move(mapped));
  DRAY_RETURN_IF_ERROR(Join(file, *memory, spec.rank));
  std::vector<const std::atomic<uint32_t>*> attached;
  for (int64_t rank = 0; rank < memory->shape().world; ++rank) {
    attached.push_back(&memory->line(rank).attached);
  }
  const auto liveness = std::make_shared<const ClaimLiveness>(std::move(file), std::move(attached));
  const WaitRules rules{.scope = FutexScope::kShared,
                        .spin = memory->spin(),
                        .timeout = spec.timeout,
                        .liveness = liveness.get()};
  return std::unique_ptr<Communicator>(
      std::make_unique<MemoryCommunicator>(MemoryCommunicatorParts{.memory = memory,
                                                                   .rank = spec.rank,
                                                                   .rules = rules,
                                                                   .pool = spec.pool,
                                                                   .helper_slots = {},
                                                                   .liveness = liveness}));
}

}  // namespace dray::parallel
