// A link between two processes of an MPI job, as link.h describes it.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "parallel/link.h"
#include "parallel/mpi/mpi_library.h"

namespace dray::parallel {

struct MpiLinkSpec {
  std::shared_ptr<MpiLibrary> library;
  LinkSpec link;        // from and to are ranks of the job; at most kMaxMpiBytes for a message
  int32_t channel = 0;  // as MpiChannelSpec::channel, and another one than that of a group
};

// At rank `from` and rank `to` of the job. kInvalidArgument names a value outside its limits;
// kResourceExhausted if the memory cannot be had. Send returns as soon as its message is copied;
// `depth` messages are under way that the receiver has not asked for.
Result<std::unique_ptr<LinkSender>> MakeMpiSender(const MpiLinkSpec& spec);
Result<std::unique_ptr<LinkReceiver>> MakeMpiReceiver(const MpiLinkSpec& spec);

}  // namespace dray::parallel
