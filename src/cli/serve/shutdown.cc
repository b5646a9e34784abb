#include "cli/serve/shutdown.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace dray::cli {
namespace {

sigset_t ShutdownSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void BlockShutdownSignals() {
  const sigset_t signals = ShutdownSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void RestoreShutdownSignals() {
  const sigset_t signals = ShutdownSignals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

Result<ShutdownWait> ShutdownWait::Make() {
  const sigset_t signals = ShutdownSignals();
  ShutdownWait wait(signalfd(-1, &signals, SFD_CLOEXEC), eventfd(0, EFD_CLOEXEC));
  if (wait.signals_fd_ >= 0 && wait.wake_fd_ >= 0) return wait;
  return Status(StatusCode::kIo, fmt::format("cannot wait for signals: {}; raise `ulimit -n`",
                                             std::strerror(errno)));
}

ShutdownWait::ShutdownWait(ShutdownWait&& other) noexcept
    : signals_fd_(std::exchange(other.signals_fd_, -1)),
      wake_fd_(std::exchange(other.wake_fd_, -1)) {}

ShutdownWait::~ShutdownWait() {
  if (signals_fd_ >= 0) ::close(signals_fd_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

std::optional<int> ShutdownWait::Wait() {
  pollfd fds[] = {{signals_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
  signalfd_siginfo info = {};
  if ((fds[0].revents & POLLIN) != 0 && ::read(signals_fd_, &info, sizeof(info)) == sizeof(info)) {
    return static_cast<int>(info.ssi_signo);
  }
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(wake_fd_, &count, sizeof(count));
  return std::nullopt;
}

void ShutdownWait::Wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t size = ::write(wake_fd_, &one, sizeof(one));
}

}  // namespace dray::cli
