// Work that takes long, each piece on a thread of its own: loading, unloading and scaling of models.
//
// Threads: any. Owns one for each operation that runs.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace dray::serving {

class Operations {
 public:
  Operations() = default;
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  // Waits for the end of all operations.
  ~Operations();

  // Runs `work` on a new thread. kUnavailable if as many run already as may, or if the system gives
  // no thread.
  Status Start(std::function<void()> work);

 private:
  struct Operation {
    std::thread thread;
    bool done = false;
  };
  // Takes those that are done out of the list.
  std::list<Operation> TakeDone();

  std::mutex mutex_;
  std::list<Operation> operations_;
};

}  // namespace dray::serving
