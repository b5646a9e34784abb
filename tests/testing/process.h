// A child process, the dray program under test, whose output can be read line by line.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace dray::testing {

struct ProcessResult {
  int exit_code = -1;  // minus the signal's number if a signal ended it
  std::string output;  // standard output
  std::string errors;  // standard error
};

class Process {
 public:
  // argv[0] is the program's path. Standard error goes to the same stream as standard output.
  explicit Process(const std::vector<std::string>& argv);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  // Kills the process if it still runs.
  ~Process();

  // The next line of output, without its end. Nothing at the end of the output or after
  // `timeout_ms`.
  std::optional<std::string> ReadLine(int timeout_ms = 60'000);
  // Reads lines until one contains `text`, and returns it.
  std::optional<std::string> ReadUntil(const std::string& text, int timeout_ms = 60'000);
  void Signal(int signal) const;
  // Reads the rest of the output and waits for the end. Kills the process after `timeout_ms`.
  // Returns the exit code, or minus the signal's number.
  int Wait(int timeout_ms = 60'000);
  // All output so far.
  const std::string& output() const { return output_; }
  pid_t pid() const { return pid_; }

 private:
  bool Fill(int timeout_ms);

  pid_t pid_ = -1;
  int out_fd_ = -1;
  size_t read_to_ = 0;
  std::string output_;
};

// Runs a program to its end with `input` as its standard input.
ProcessResult RunProcess(const std::vector<std::string>& argv, const std::string& input = "");

}  // namespace dray::testing
