// A server as a process of its own, and what it takes of the machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "testing/process.h"

namespace dray::bench {

// Restricts the calling thread, and the processes that it starts from now on, to these processors.
void UseProcessors(const std::vector<int>& cpus);
// Those that this process could use when it was started.
std::vector<int> UsableProcessors();

class MeasuredServer {
 public:
  // Starts `command`, which must print a line with "serving" that ends in ":PORT", on `cpus`. Ends the process
  // if it does not start.
  MeasuredServer(const std::vector<std::string>& command, const std::vector<int>& cpus);

  uint16_t port() const { return port_; }
  pid_t pid() const { return process_.pid(); }
  // Of all its threads since its start.
  double CpuSeconds() const;
  // Its physical memory.
  uint64_t ResidentBytes() const;

 private:
  testing::Process process_;
  uint16_t port_ = 0;
};

}  // namespace dray::bench
