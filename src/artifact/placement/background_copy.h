// Copies an artifact's weights into memory in huge pages while the model already computes with the file's mapping.
// The system keeps a file mostly in small pages, through which computing is slower, but copying first would delay
// the first answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>

#include "artifact/mapped_artifact.h"
#include "artifact/placement/data_memory.h"
#include "base/status.h"
#include "base/threads/helper_threads.h"

namespace dray::artifact {

// The share of the artifact's mapped bytes, from 0 to 1, that this process has in huge pages. 1 if the kernel does
// not tell.
double HugePageShare(const MappedArtifact& artifact);

struct BackgroundCopyOptions {
  // How long the machine is left to others, such as the first answers, before copying begins.
  std::chrono::milliseconds delay{0};
  // Copying ends early, which does no harm, once less memory is available.
  int64_t leave_free_bytes = 0;
  // Nothing is copied if so large a share of the mapping is in huge pages already; more than 1: always copied.
  double huge_share_that_does = 2;
};

// Threads: owns one, of lower priority than others.
class BackgroundCopy {
 public:
  // Begins to copy. What is done, and why, is logged. kIo if the file cannot be opened again.
  static Result<std::unique_ptr<BackgroundCopy>> Start(
      std::shared_ptr<const MappedArtifact> artifact, const BackgroundCopyOptions& options);
  // Ends copying.
  ~BackgroundCopy();
  BackgroundCopy(const BackgroundCopy&) = delete;
  BackgroundCopy& operator=(const BackgroundCopy&) = delete;

  int64_t copied_bytes() const { return copied_bytes_; }
  // Waits until copying has ended.
  void Wait() { thread_.Join(); }

 private:
  BackgroundCopy(DataMemory memory, const BackgroundCopyOptions& options)
      : memory_(std::move(memory)), options_(options) {}
  void Work(const std::stop_token& stop);
  void WaitBefore(const std::stop_token& stop) const;
  void Copy(const std::stop_token& stop);

  const DataMemory memory_;
  const BackgroundCopyOptions options_;
  std::atomic<int64_t> copied_bytes_{0};
  std::stop_source stop_;
  HelperThreads thread_;
};

}  // namespace dray::artifact
