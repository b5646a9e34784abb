// Ranks as processes of an MPI job, on one or several machines. Sums are dray's own, over messages
// between two ranks each, since MPI leaves the order of its own sums open.
//
// Threads: the rank's thread, but for Abort.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "parallel/communicator.h"
#include "parallel/mpi/mpi_channel.h"

namespace dray::parallel {

struct MpiGroupSpec {
  // `timeout` is for waits within a call.
  MpiChannelSpec channel;
  int64_t max_count = 0;  // floats in a call, the same at all ranks: [1, kMaxMpiBytes / 4]
};

// All members make the group, none waits for the others. kInvalidArgument names a value outside its
// limits; kResourceExhausted if the memory cannot be had: (world + 3) * max_count floats, of which
// pages that are never used cost nothing.
Result<std::unique_ptr<Communicator>> MakeMpiGroup(MpiGroupSpec spec);
// The channel of a group of all processes of the job, in their order.
MpiChannelSpec WholeJob(std::shared_ptr<MpiLibrary> library);

}  // namespace dray::parallel
