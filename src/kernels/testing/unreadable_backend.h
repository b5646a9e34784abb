// A backend for tests whose memory the host cannot touch: whoever reads or writes it in place, and
// not through the backend, dies of SIGSEGV. It computes what the backend that it wraps computes,
// bit for bit.
//
// Its memory is one file in memory, mapped twice: callers get addresses of the mapping that allows
// no access, and the wrapped backend computes in the one that can be read and written. Every call
// is queued and run by a thread of its own, which starts only when the caller waits (CopyToHost,
// EndStep, packing, freeing memory). So a caller that reuses or changes too early what a call names
// gets wrong results.
#pragma once

#include <memory>

#include "base/status.h"
#include "kernels/backend.h"

namespace dray::kernels {

// `inner` must compute in host memory. kIo if the system does not give the mappings.
Result<std::unique_ptr<Backend>> MakeUnreadableBackend(std::unique_ptr<Backend> inner);

}  // namespace dray::kernels
