#include "base/threads/helper_threads.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "base/threads/worker_set.h"

namespace dray {

Status HelperThreads::Start(std::string_view task, std::function<void()> body,
                            const std::vector<int>& cpus) {
  try {
    threads_.reserve(threads_.size() + 1);
    threads_.emplace_back(std::move(body));
  } catch (const std::system_error& error) {
    return {StatusCode::kResourceExhausted,
            fmt::format("cannot start thread {} that helps {}: {}; raise the limit of threads "
                        "(ulimit -u, or pids.max of the control group), or free memory",
                        threads_.size() + 1, task, error.code().message())};
  }
  // A thread inherits the processors of its caller, which may be bound to one of them.
  if (!cpus.empty()) BindThread(threads_.back().native_handle(), cpus);
  return OkStatus();
}

void HelperThreads::Join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace dray
