// A child process on a terminal of its own: a test reads what it draws and presses its keys.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace dray::testing {

class TerminalProcess {
 public:
  // argv[0] is the program's path. `environment` has further variables, as NAME=VALUE. The terminal has 24 lines of 80
  // columns.
  TerminalProcess(const std::vector<std::string>& argv,
                  const std::vector<std::string>& environment);
  TerminalProcess(const TerminalProcess&) = delete;
  TerminalProcess& operator=(const TerminalProcess&) = delete;
  // Kills the process if it still runs.
  ~TerminalProcess();

  void Type(std::string_view keys) const;
  void Resize(unsigned short columns, unsigned short rows) const;
  // Reads output until `text` has come after all that earlier calls have read. False at the end of the output or after
  // `timeout_ms`.
  bool ReadUntil(std::string_view text, int timeout_ms = 60'000);
  // Whether the terminal shows typed characters and hands them over line by line, as it does for a shell.
  bool IsAsForAShell() const;
  // Waits until the process has stopped itself, as programs do on Ctrl-Z.
  void WaitUntilStopped() const;
  // Reads the rest of the output and waits for the end. Returns the exit code, or minus the signal's number.
  int Wait();
  // All output so far, without carriage returns.
  const std::string& output() const { return output_; }
  pid_t pid() const { return pid_; }

 private:
  bool Fill(int timeout_ms);

  pid_t pid_ = -1;
  int terminal_ = -1;
  size_t read_to_ = 0;
  std::string output_;
};

}  // namespace dray::testing
