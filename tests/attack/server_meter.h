// What a running server's process has used, read from the kernel.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace dray::attack {

class ServerMeter {
 public:
  explicit ServerMeter(pid_t pid) : pid_(pid) {}

  // Processor time of all its threads so far; negative if the process has ended.
  double CpuSeconds() const;
  // The same once it has stopped rising (waits at most `patience_s`).
  double SettledCpuSeconds(double patience_s) const;
  // The most physical memory since ForgetPeak, or since its start.
  uint64_t PeakBytes() const;
  void ForgetPeak() const;

 private:
  pid_t pid_;
};

}  // namespace dray::attack
