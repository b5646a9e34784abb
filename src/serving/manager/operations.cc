#include "serving/manager/operations.h"

#include <fmt/format.h>

#include <exception>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace dray::serving {
namespace {

// Enough for every model of a server; a client that asks for more has to wait.
constexpr size_t kMaxOperations = 64;

void RunAndLog(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    LogError(fmt::format("an operation on a model threw: {}", error.what()));
  }
}

}  // namespace

Operations::~Operations() {
  std::list<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    for (Operation& operation : operations_) threads.push_back(std::move(operation.thread));
  }
  for (std::thread& thread : threads) thread.join();
}

std::list<Operations::Operation> Operations::TakeDone() {
  std::list<Operation> done;
  for (auto it = operations_.begin(); it != operations_.end();) {
    const auto next = std::next(it);
    if (it->done) done.splice(done.end(), operations_, it);
    it = next;
  }
  return done;
}

Status Operations::Start(std::function<void()> work) {
  std::list<Operation> done;
  Status status;
  {
    const std::lock_guard lock(mutex_);
    done = TakeDone();
    if (operations_.size() >= kMaxOperations) {
      return {StatusCode::kUnavailable,
              fmt::format("{} operations on models are under way, the limit; try again later",
                          kMaxOperations)};
    }
    Operation& operation = operations_.emplace_back();
    try {
      operation.thread = std::thread([this, &operation, work = std::move(work)]() mutable {
        RunAndLog(work);
        work = nullptr;
        const std::lock_guard end(mutex_);
        operation.done = true;
      });
    } catch (const std::system_error& error) {
      operations_.pop_back();
      status = {StatusCode::kUnavailable,
                fmt::format("the system gives no thread: {}", error.what())};
    }
  }
  for (Operation& operation : done) operation.thread.join();
  return status;
}

}  // namespace dray::serving
