#include "testing/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"

namespace dray::testing {
namespace {

std::vector<char*> Arguments(const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  return arguments;
}

// Starts `argv` with these descriptors as standard input, output and error.
pid_t Spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  const std::vector<char*> arguments = Arguments(argv);
  const pid_t pid = ::fork();
  DRAY_CHECK(pid >= 0);
  if (pid == 0) {
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  return pid;
}

int ExitCode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

std::string ReadAll(int fd) {
  std::string text;
  char bytes[4096];
  ssize_t got = 0;
  while ((got = ::read(fd, bytes, sizeof(bytes))) > 0) text.append(bytes, static_cast<size_t>(got));
  ::close(fd);
  return text;
}

}  // namespace

Process::Process(const std::vector<std::string>& argv) {
  int out[2];
  DRAY_CHECK(::pipe2(out, O_CLOEXEC) == 0);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_ = Spawn(argv, null, out[1], out[1]);
  ::close(null);
  ::close(out[1]);
  out_fd_ = out[0];
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(out_fd_);
}

bool Process::Fill(int timeout_ms) {
  pollfd waiting = {.fd = out_fd_, .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, timeout_ms) <= 0) return false;
  char bytes[4096];
  const ssize_t got = ::read(out_fd_, bytes, sizeof(bytes));
  if (got <= 0) return false;
  output_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::optional<std::string> Process::ReadLine(int timeout_ms) {
  size_t end = 0;
  while ((end = output_.find('\n', read_to_)) == std::string::npos) {
    if (!Fill(timeout_ms)) return std::nullopt;
  }
  const size_t begin = std::exchange(read_to_, end + 1);
  return output_.substr(begin, end - begin);
}

std::optional<std::string> Process::ReadUntil(const std::string& text, int timeout_ms) {
  while (auto line = ReadLine(timeout_ms)) {
    if (line->find(text) != std::string::npos) return line;
  }
  return std::nullopt;
}

void Process::Signal(int signal) const { ::kill(pid_, signal); }

int Process::Wait(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    Fill(10);
    if (std::chrono::steady_clock::now() > deadline) ::kill(pid_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  pid_ = -1;
  while (Fill(0)) {
  }
  return ExitCode(status);
}

ProcessResult RunProcess(const std::vector<std::string>& argv, const std::string& input) {
  int in[2];
  int out[2];
  int err[2];
  DRAY_CHECK(::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0 &&
             ::pipe2(err, O_CLOEXEC) == 0);
  const pid_t pid = Spawn(argv, in[0], out[1], err[1]);
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  ProcessResult result;
  std::thread writer([&] {
    [[maybe_unused]] const ssize_t written = ::write(in[1], input.data(), input.size());
    ::close(in[1]);
  });
  std::thread errors([&] { result.errors = ReadAll(err[0]); });
  result.output = ReadAll(out[0]);
  writer.join();
  errors.join();
  int status = 0;
  ::waitpid(pid, &status, 0);
  result.exit_code = ExitCode(status);
  return result;
}

}  // namespace dray::testing
