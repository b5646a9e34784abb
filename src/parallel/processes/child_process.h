// A process that this one has started, and how it ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace dray::parallel {

// The descriptor of a child that is ChildSpec::descriptor.
inline constexpr int kChildDescriptor = 3;

struct ChildSpec {
  std::filesystem::path program = {};         // a path, or a name to be found in PATH
  std::vector<std::string> arguments = {};    // without the program
  std::vector<std::string> environment = {};  // "NAME=value", over this process's own variables
  int descriptor = -1;                        // that the child inherits; -1: none
};

// Movable. Kills the process and waits for its end when it is destroyed.
class ChildProcess {
 public:
  // The child's standard input is empty, and its standard output is this process's standard error.
  // It has no signals blocked, and is in a process group of its own, which signals of the terminal do
  // not reach. kNotFound or kIo, naming the program, if the system refuses.
  static Result<ChildProcess> Start(const ChildSpec& spec);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // Sends a signal, unless the process has ended.
  void Signal(int signal) const;
  // Waits at most so long. How the process ended, such as "exited with code 1" or "was ended by
  // signal 9 (Killed)"; nothing if it still runs.
  std::optional<std::string> AwaitEnd(std::chrono::milliseconds longest);
  // Whether a signal has stopped the process (SIGSTOP).
  bool IsStopped() const;

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;
  std::optional<std::string> end_;  // once it has been waited for
};

}  // namespace dray::parallel
