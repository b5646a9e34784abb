#include "engine/runner/ranks/rank_thread.h"

#include <fmt/format.h>

#include <utility>

namespace dray::engine {

Status StartRankThread(HelperThreads& threads, size_t rank,
                       std::shared_ptr<kernels::Backend> backend, std::function<void()> work) {
  return threads
      .Start("to compute ranks",
             [backend = std::move(backend), work = std::move(work)] {
               backend->AdoptThread();
               work();
             })
      .WithPrefix(fmt::format("rank {}", rank));
}

}  // namespace dray::engine
