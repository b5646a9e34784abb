#include "testing/terminal_process.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "base/check.h"

namespace dray::testing {

TerminalProcess::TerminalProcess(const std::vector<std::string>& argv,
                                 const std::vector<std::string>& environment) {
  const winsize size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
  DRAY_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    for (const std::string& variable : environment) {
      ::putenv(const_cast<char*>(variable.c_str()));
    }
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
}

TerminalProcess::~TerminalProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(terminal_);
}

void TerminalProcess::Type(std::string_view keys) const {
  DRAY_CHECK(::write(terminal_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
}

void TerminalProcess::Resize(unsigned short columns, unsigned short rows) const {
  const winsize size = {.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  DRAY_CHECK(::ioctl(terminal_, TIOCSWINSZ, &size) == 0);
}

bool TerminalProcess::Fill(int timeout_ms) {
  pollfd waiting = {.fd = terminal_, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, timeout_ms) <= 0) return false;
  char bytes[4096];
  const ssize_t got = ::read(terminal_, bytes, sizeof(bytes));
  if (got <= 0) return false;  // the end, which is an error of terminals
  std::copy_if(bytes, bytes + got, std::back_inserter(output_), [](char c) { return c != '\r'; });
  return true;
}

bool TerminalProcess::ReadUntil(std::string_view text, int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  size_t found = 0;
  while ((found = output_.find(text, read_to_)) == std::string::npos) {
    // A program that draws again and again is never silent.
    if (std::chrono::steady_clock::now() > deadline || !Fill(timeout_ms)) return false;
  }
  read_to_ = found + text.size();
  return true;
}

bool TerminalProcess::IsAsForAShell() const {
  termios settings = {};
  DRAY_CHECK(::tcgetattr(terminal_, &settings) == 0);
  return (settings.c_lflag & ECHO) != 0 && (settings.c_lflag & ICANON) != 0;
}

void TerminalProcess::WaitUntilStopped() const {
  int status = 0;
  DRAY_CHECK(::waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status));
}

int TerminalProcess::Wait() {
  constexpr int kLongestSilenceMs = 60'000;
  while (Fill(kLongestSilenceMs)) {
  }
  ::kill(pid_, SIGKILL);  // does nothing to a process that has ended
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace dray::testing
