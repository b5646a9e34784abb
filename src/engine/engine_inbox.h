// Stands between an engine's callers and its thread: holds what the callers ask for until the thread
// takes it, and what the thread published last until the callers read it.
//
// Threads: every function may be called from any thread, but Publish and Take only from the engine's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"

namespace dray::engine {

struct Submission {
  RequestId id;
  GenerateRequest request;
  std::shared_ptr<EventSink> sink;
};

class EngineInbox {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // What the engine's thread takes at once.
  struct Contents {
    std::vector<Submission> submissions;
    std::vector<RequestId> cancellations;
    bool stopping = false;  // The thread must end.
  };

  // Fails with kUnavailable after Stop, and with the published health if that is not OK.
  Result<RequestId> Submit(GenerateRequest request, std::shared_ptr<EventSink> sink);
  void Cancel(RequestId id);
  void Stop();
  // Lets a waiting Take ask its condition again.
  void Wake();

  EngineStats stats() const;
  bool healthy() const;

  void Publish(const EngineStats& stats, const Status& health);
  // Waits until something has arrived, Stop was called, `is_due` returns true or it is `until`. Then replaces
  // `contents`, whose memory is used again, by what has arrived. TimePoint::max() waits without an end,
  // TimePoint::min() not at all. `is_due` must not call the inbox.
  void Take(Contents& contents, TimePoint until, const std::function<bool()>& is_due);

 private:
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  Contents arrived_;
  EngineStats stats_;
  Status health_;
  uint64_t next_request_id_ = 1;
};

}  // namespace dray::engine
