#include "base/threads/helper_threads.h"

#include <fmt/format.h>

#include <utility>

#include "base/threads/start_thread.h"
#include "base/threads/worker_set.h"

namespace dray {

Status HelperThreads::Start(std::string_view task, std::function<void()> body,
                            const std::vector<int>& cpus) {
  threads_.reserve(threads_.size() + 1);  // what follows a thread's start cannot fail
  auto thread = StartThread(fmt::format("thread {} that helps {}", threads_.size() + 1, task),
                            std::move(body));
  DRAY_RETURN_IF_ERROR(thread.status());
  threads_.push_back(std::move(*thread));
  // A thread inherits the processors of its caller, which may be bound to one of them.
  if (!cpus.empty()) BindThread(threads_.back().native_handle(), cpus);
  return OkStatus();
}

void HelperThreads::Join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace dray
