#include "timed_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "bench/machine_limits.h"

namespace dray::bench {
namespace {

// The texts as a program gets them.
std::vector<char*> Pointers(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// A file for what a program prints as errors; removed with the object.
class ErrorFile {
 public:
  ErrorFile() : descriptor_(::mkostemp(path_, O_CLOEXEC)) {}
  ~ErrorFile() {
    ::close(descriptor_);
    ::unlink(path_);
  }
  ErrorFile(const ErrorFile&) = delete;
  ErrorFile& operator=(const ErrorFile&) = delete;
  int descriptor() const { return descriptor_; }
  std::string Content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  char path_[32] = "/tmp/dray-bench-errors-XXXXXX";
  const int descriptor_;
};

Result<pid_t> Start(const std::vector<std::string>& argv, int output, int errors) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  pid_t pid = -1;
  const int failed =
      ::posix_spawn(&pid, argv.front().c_str(), &actions, nullptr, Pointers(argv).data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return pid;
  return Status(StatusCode::kNotFound, fmt::format("cannot start {}", argv.front()));
}

}  // namespace

Result<CommandTimes> TimeCommand(const std::vector<std::string>& argv) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return Status(StatusCode::kIo, "no pipe");
  const ErrorFile errors;
  const Stopwatch watch;
  const auto pid = Start(argv, pipe[1], errors.descriptor());
  ::close(pipe[1]);
  CommandTimes times;
  char bytes[4096];
  while (pid.ok() && ::read(pipe[0], bytes, sizeof(bytes)) > 0) {
    if (times.first_output_seconds == 0) times.first_output_seconds = watch.Seconds();
  }
  ::close(pipe[0]);
  DRAY_RETURN_IF_ERROR(pid.status());
  int status = 0;
  ::waitpid(*pid, &status, 0);
  times.total_seconds = watch.Seconds();
  if (status == 0 && times.first_output_seconds > 0) return times;
  return Status(StatusCode::kInternal,
                fmt::format("{}: {}", fmt::join(argv, " "), errors.Content()));
}

}  // namespace dray::bench
