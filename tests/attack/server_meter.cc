#include "attack/server_meter.h"

#include <time.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace dray::attack {

double ServerMeter::CpuSeconds() const {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) return -1;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double ServerMeter::SettledCpuSeconds(double patience_s) const {
  constexpr double kStep = 0.02;
  constexpr double kIdle = 0.002;  // of kStep: a probe now and then, but nothing else
  double last = CpuSeconds();
  for (double waited = 0; waited < patience_s; waited += kStep) {
    std::this_thread::sleep_for(std::chrono::duration<double>(kStep));
    const double now = CpuSeconds();
    if (now - last < kIdle) return now;
    last = now;
  }
  return last;
}

uint64_t ServerMeter::PeakBytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
  std::string name;
  while (file >> name) {
    uint64_t kilobytes = 0;
    if (name == "VmHWM:" && file >> kilobytes) return kilobytes * 1024;
    std::getline(file, name);
  }
  return 0;
}

void ServerMeter::ForgetPeak() const {
  // 5: the peak becomes what is used now (proc(5)).
  std::ofstream("/proc/" + std::to_string(pid_) + "/clear_refs") << "5";
}

}  // namespace dray::attack
