#include "parallel/processes/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

namespace dray::parallel {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(2);

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// This process's variables, replaced and extended by `over`.
std::vector<std::string> Environment(const std::vector<std::string>& over) {
  std::vector<std::string> all = over;
  const auto is_replaced = [&](std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('=') + 1);
    for (const std::string& one : over) {
      if (one.starts_with(name)) return true;
    }
    return false;
  };
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!is_replaced(*variable)) all.emplace_back(*variable);
  }
  return all;
}

std::string DescribeEnd(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with code {}", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  return fmt::format("was ended by signal {} ({})", signal, ::strsignal(signal));
}

// How posix_spawn prepares the child.
class SpawnSetup {
 public:
  explicit SpawnSetup(int descriptor) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO);
    if (descriptor >= 0) {
      ::posix_spawn_file_actions_adddup2(&actions_, descriptor, kChildDescriptor);
    }
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

Result<ChildProcess> ChildProcess::Start(const ChildSpec& spec) {
  std::vector<std::string> arguments = {spec.program.string()};
  arguments.insert(arguments.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> environment = Environment(spec.environment);
  const SpawnSetup setup(spec.descriptor);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, spec.program.c_str(), setup.actions(), setup.attributes(),
                                   Pointers(arguments).data(), Pointers(environment).data());
  if (error != 0) {
    return Status(error == ENOENT ? StatusCode::kNotFound : StatusCode::kIo,
                  fmt::format("cannot start {}: {}", spec.program.string(), std::strerror(error)));
  }
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), end_(std::move(other.end_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(end_, other.end_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0 || end_) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::Signal(int signal) const {
  if (!end_) ::kill(pid_, signal);
}

std::optional<std::string> ChildProcess::AwaitEnd(std::chrono::milliseconds longest) {
  const auto deadline = std::chrono::steady_clock::now() + longest;
  while (!end_) {
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) end_ = DescribeEnd(status);
    if (ended < 0 && errno != EINTR) end_ = "has ended";
    if (end_ || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPeriod);
  }
  return end_;
}

bool ChildProcess::IsStopped() const {
  siginfo_t info = {};
  // A stop is reported until the process goes on; WNOWAIT leaves it to be reported again.
  return !end_ &&
         ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

}  // namespace dray::parallel
