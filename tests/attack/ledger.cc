#include "attack/ledger.h"

#include <fmt/format.h>

#include <algorithm>

namespace dray::attack {
namespace {

constexpr double kLeastAllowedP99 = 2 * 0.010;

double AllowedP99(const Waits& quiet) { return std::max(kLeastAllowedP99, 2 * quiet.P99()); }

std::string JudgeWaits(std::string_view who, const Waits& waits, const Waits& quiet) {
  if (waits.num_failed > 0) return fmt::format("; {} {} failed", waits.num_failed, who);
  if (waits.P99() <= AllowedP99(quiet)) return "";
  return fmt::format("; {} wait {:.1f} ms, allowed are {:.1f}", who, 1e3 * waits.P99(),
                     1e3 * AllowedP99(quiet));
}

}  // namespace

double Cost::AllowedCpuSeconds() const {
  return 0.01 * static_cast<double>(sent.bytes) / 1e6 + 0.02;
}

Cost Measure(const Target& target, const Attack& attack) {
  Cost cost;
  cost.name = attack.name;
  target.meter.ForgetPeak();
  const double before = target.meter.SettledCpuSeconds(2);
  cost.sent = attack.run(target.port);
  cost.cpu_seconds = target.meter.SettledCpuSeconds(60) - before;
  cost.peak_bytes = target.meter.PeakBytes();
  return cost;
}

std::string Verdict(const Entry& entry, const Allowance& allowance) {
  const Cost& cost = entry.cost;
  std::string faults;
  const bool was_answered = cost.sent.status == 200 || cost.was_refused();
  if (cost.sent.status && !was_answered) faults += fmt::format("; status {}", *cost.sent.status);
  if (cost.was_refused() && cost.cpu_seconds > cost.AllowedCpuSeconds()) {
    faults += "; too much processor time";
  }
  if (cost.peak_bytes > allowance.peak_bytes) faults += "; too much memory";
  faults += JudgeWaits("pings", entry.probes.pings, allowance.quiet.pings);
  faults += JudgeWaits("answers", entry.probes.answers, allowance.quiet.answers);
  return faults.empty() ? "" : faults.substr(2);
}

std::string Ledger(const std::vector<Entry>& entries, const Allowance& allowance) {
  const Probes& quiet = allowance.quiet;
  std::string table = fmt::format(
      "at most {:.0f} MB; 99 % of {} pings within {:.1f} ms, of {} answers within {:.1f} ms "
      "without an attack\n\n",
      static_cast<double>(allowance.peak_bytes) / 1e6, quiet.pings.seconds.size(),
      1e3 * quiet.pings.P99(), quiet.answers.seconds.size(), 1e3 * quiet.answers.P99());
  table += fmt::format("{:42} {:>8} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}  {}\n", "attack",
                       "MB sent", "status", "cpu s", "allowed", "peak MB", "probes", "ping ms",
                       "answer", "verdict");
  for (const Entry& entry : entries) {
    const Cost& cost = entry.cost;
    const std::string verdict = Verdict(entry, allowance);
    table +=
        fmt::format("{:42} {:8.2f} {:>6} {:7.3f} {:7.3f} {:7.1f} {:7} {:7.1f} {:7.1f}  {}\n",
                    cost.name, static_cast<double>(cost.sent.bytes) / 1e6,
                    cost.sent.status ? fmt::format("{}", *cost.sent.status) : "-", cost.cpu_seconds,
                    cost.AllowedCpuSeconds(), static_cast<double>(cost.peak_bytes) / 1e6,
                    entry.probes.pings.seconds.size(), 1e3 * entry.probes.pings.P99(),
                    1e3 * entry.probes.answers.P99(), verdict.empty() ? "ok" : verdict);
  }
  return table;
}

}  // namespace dray::attack
