#include "parallel/thread_group.h"

#include <fmt/format.h>

#include <utility>

#include "parallel/memory/memory_communicator.h"

namespace dray::parallel {
namespace {

Status CheckSpec(const ThreadGroupSpec& spec) {
  DRAY_RETURN_IF_ERROR(CheckShape(GroupShape{.world = spec.world, .max_count = spec.max_count}));
  if (!spec.pools.empty() && static_cast<int64_t>(spec.pools.size()) != spec.world) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{} thread pools for {} ranks: give one for each rank, or none",
                        spec.pools.size(), spec.world)};
  }
  return OkStatus();
}

// All threads that compute for the group.
int64_t NumThreads(const ThreadGroupSpec& spec) {
  if (spec.pools.empty()) return spec.world;
  int64_t threads = 0;
  for (const ThreadPool* pool : spec.pools) threads += pool == nullptr ? 1 : pool->max_threads();
  return threads;
}

// [rank]
std::vector<HelperSlot*> HelperSlots(const ThreadGroupSpec& spec) {
  std::vector<HelperSlot*> slots;
  for (ThreadPool* pool : spec.pools) {
    slots.push_back(pool == nullptr ? nullptr : &pool->helper_slot());
  }
  return slots;
}

}  // namespace

Result<std::vector<std::unique_ptr<Communicator>>> MakeThreadGroup(const ThreadGroupSpec& spec) {
  DRAY_RETURN_IF_ERROR(CheckSpec(spec));
  const GroupShape shape{spec.world, spec.max_count};
  DRAY_ASSIGN_OR_RETURN(Region region, Region::Anonymous(GroupMemory::SizeBytes(shape)));
  const auto memory = std::make_shared<const GroupMemory>(
      GroupMemory::Format(std::move(region), shape, SpinTime(NumThreads(spec))));
  const WaitRules rules{
      .scope = FutexScope::kProcess, .spin = memory->spin(), .timeout = spec.timeout};
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int64_t rank = 0; rank < spec.world; ++rank) {
    ranks.push_back(std::make_unique<MemoryCommunicator>(
        MemoryCommunicatorParts{.memory = memory,
                                .rank = rank,
                                .rules = rules,
                                .pool = spec.pools.empty() ? nullptr : spec.pools[rank],
                                .helper_slots = HelperSlots(spec),
                                .liveness = nullptr}));
  }
  return ranks;
}

}  // namespace dray::parallel
