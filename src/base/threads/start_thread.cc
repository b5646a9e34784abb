#include "base/threads/start_thread.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace dray {

Result<std::thread> StartThread(const std::string& what, std::function<void()> body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("cannot start {}: {}; raise the limit of threads (ulimit -u, or "
                              "pids.max of the control group), or free memory",
                              what, error.code().message()));
  }
}

}  // namespace dray
