// A `dray serve demo` that is started to be attacked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "testing/process.h"

namespace dray::attack {

class StartedServer {
 public:
  // `flags` beside the port, which is a free one.
  StartedServer(const std::string& program, const std::vector<std::string>& flags);

  // 0 if it did not start; process().output() says why.
  uint16_t port() const { return port_; }
  testing::Process& process() { return process_; }

 private:
  testing::Process process_;
  uint16_t port_ = 0;
};

}  // namespace dray::attack
