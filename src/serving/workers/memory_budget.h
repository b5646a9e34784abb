// The memory of the models of one server. A cache takes its memory only as it is used, so what the
// system calls free is more than what a further model may take; the budget remembers what it has
// promised.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/machine/memory_info.h"
#include "base/status.h"

namespace dray::serving {

class MemoryBudget {
  struct State;

 public:
  // What one model or worker may take, until the lease is destroyed.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&& other) noexcept;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { Return(); }

    int64_t bytes() const { return bytes_; }
    // What is in fact taken, once that is known.
    void Resize(int64_t bytes);
    // Parts with `bytes` of its bytes, which the returned lease has.
    Lease Split(int64_t bytes);

   private:
    friend class MemoryBudget;
    Lease(std::shared_ptr<State> state, int64_t bytes) : state_(std::move(state)), bytes_(bytes) {}
    void Return();

    std::shared_ptr<State> state_;
    int64_t bytes_ = 0;
  };

  // `free_bytes` tells what this process can still take. What it tells first is the whole budget.
  explicit MemoryBudget(std::function<int64_t()> free_bytes = AvailableMemoryBytes);

  // What a further lease may have.
  int64_t available_bytes() const;
  // Takes `bytes` and leaves `reserved_bytes` available. kResourceExhausted, naming the figures and
  // `what` takes them, if there are fewer.
  Result<Lease> Take(int64_t bytes, int64_t reserved_bytes, const std::string& what);

 private:
  struct State {
    std::function<int64_t()> free_bytes;
    int64_t total_bytes = 0;
    mutable std::mutex mutex;
    int64_t taken_bytes = 0;
  };
  static int64_t Available(const State& state);

  const std::shared_ptr<State> state_;
};

}  // namespace dray::serving
