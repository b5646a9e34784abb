#include "measured_server.h"

#include <fmt/format.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>

#include "base/machine/cpu_info.h"

namespace dray::bench {
namespace {

// The command, once the processes that this one starts are restricted to `cpus`.
const std::vector<std::string>& On(const std::vector<int>& cpus,
                                   const std::vector<std::string>& command) {
  UseProcessors(cpus);
  return command;
}

}  // namespace

void UseProcessors(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}

std::vector<int> UsableProcessors() {
  static const std::vector<int> cpus = AllowedCpus();
  return cpus;
}

MeasuredServer::MeasuredServer(const std::vector<std::string>& command,
                               const std::vector<int>& cpus)
    : process_(On(cpus, command)) {
  UseProcessors(UsableProcessors());
  const auto line = process_.ReadUntil("serving ");
  if (line) {
    const size_t colon = line->rfind(':');
    std::from_chars(line->data() + colon + 1, line->data() + line->size(), port_);
  }
  if (port_ == 0) {
    fmt::print(stderr, "{} does not serve:\n{}\n", command.front(), process_.output());
    std::exit(1);
  }
}

double MeasuredServer::CpuSeconds() const {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process_.pid(), &clock) != 0) return 0;
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

uint64_t MeasuredServer::ResidentBytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", process_.pid()));
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace dray::bench
