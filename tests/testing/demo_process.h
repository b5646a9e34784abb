// `dray serve demo`, or with another model, as a process of its own, on a free port.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "testing/process.h"

namespace dray::testing {

class DemoProcess {
 public:
  // `flags` are further ones of `dray serve`; without --threads among them there is one. DRAY_PROGRAM is defined by the test's CMake target.
  explicit DemoProcess(const std::vector<std::string>& flags, const std::string& model = "demo")
      : process_(Command(flags, model)) {
    const auto line =
        process_.ReadUntil("serving " + std::filesystem::path(model).filename().string());
    EXPECT_TRUE(line) << process_.output();
    if (!line) return;
    const size_t colon = line->rfind(':');
    std::from_chars(line->data() + colon + 1, line->data() + line->size(), port_);
  }

  uint16_t port() const { return port_; }
  pid_t pid() const { return process_.pid(); }
  // All output so far.
  const std::string& output() const { return process_.output(); }
  void Signal(int signal) const { process_.Signal(signal); }
  // Waits until it ends by itself; its exit code.
  int Wait() { return process_.Wait(); }
  // Ends it in order; its exit code.
  int Stop() {
    process_.Signal(SIGTERM);
    return process_.Wait();
  }

 private:
  static std::vector<std::string> Command(const std::vector<std::string>& flags,
                                          const std::string& model) {
    std::vector<std::string> command = {DRAY_PROGRAM, "serve", model, "--port", "0"};
    if (std::find(flags.begin(), flags.end(), "--threads") == flags.end()) {
      command.insert(command.end(), {"--threads", "1"});
    }
    command.insert(command.end(), flags.begin(), flags.end());
    return command;
  }

  Process process_;
  uint16_t port_ = 0;
};

}  // namespace dray::testing
