// How far a model's loading is: in words, with rate and remaining time, and within its time limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/status.h"

namespace dray::serving {

// Called while weights are read, with the bytes done and their total.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// Tells how fast a load goes on. Its first call to Describe is the start, for before it files are
// looked for and memory is waited for.
class LoadPace {
 public:
  // "1.20 GB of 4.80 GB, 600.00 MB/s, 6 s left"; without rate and remaining time until there is a
  // rate.
  std::string Describe(uint64_t done_bytes, uint64_t total_bytes);
  // The same with the time of the call, in seconds from any fixed point on.
  std::string DescribeAt(double seconds, uint64_t done_bytes, uint64_t total_bytes);

 private:
  struct Start {
    double seconds;
    uint64_t done_bytes;
  };
  std::optional<Start> start_;
};

// Ends a load that takes longer than it may, or that its caller stops. The clock is looked at when
// progress is made: a load that stands still in a read ends after that read.
//
// Threads: Progress() may be called by another thread than Explain(), but not at the same time.
class LoadDeadline {
 public:
  // `limit` 0: none. `caller` asks for an earlier end.
  LoadDeadline(std::chrono::seconds limit, std::stop_token caller);

  // For the loader.
  std::stop_token stop_token() const { return source_.get_token(); }
  // Asks the loader to end; any thread may.
  void Stop() { source_.request_stop(); }
  // Call this with what the loader tells.
  void Progress(uint64_t done_bytes, uint64_t total_bytes);
  // `status`, or if the limit has ended the load kDeadlineExceeded, which says how far it came.
  Status Explain(const Status& status) const;

 private:
  using Clock = std::chrono::steady_clock;

  const std::chrono::seconds limit_;
  const Clock::time_point start_ = Clock::now();
  std::stop_source source_;
  std::stop_callback<std::function<void()>> forward_;
  std::string too_late_;  // how far the load came; empty: it is in time
};

}  // namespace dray::serving
