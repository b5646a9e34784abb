// The start of a rank's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/status.h"
#include "base/threads/helper_threads.h"
#include "kernels/backend.h"

namespace dray::engine {

// Starts a thread in `threads` that computes for `rank` on `backend`, by `work`. kResourceExhausted, naming the rank, if
// the system gives no more threads.
Status StartRankThread(HelperThreads& threads, size_t rank,
                       std::shared_ptr<kernels::Backend> backend, std::function<void()> work);

}  // namespace dray::engine
