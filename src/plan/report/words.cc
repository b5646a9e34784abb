#include "plan/report/words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/human.h"

namespace dray::plan {
namespace {

std::string Thousands(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(static_cast<size_t>(i), ",");
  }
  return digits;
}

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

// Multiply-and-adds a second as operations.
std::string Tops(double rate) { return fmt::format("{:.3g} TOP/s", 2 * rate / 1e12); }

std::string DescribeDevices(const Host& host) {
  const Device& device = host.device;
  const bench::LimitsSample& peak = device.peak;
  std::string text =
      fmt::format("{}{}, {} memory, {}/s, {}", device.name.empty() ? "" : device.name + ", ",
                  device.source, Bytes(device.memory_bytes), Bytes(peak.read_bandwidth),
                  Tops(peak.bf16 > 0 ? peak.bf16 : peak.f32));
  if (host.link.bytes_per_second > 0) {
    text += fmt::format(", links {}/s each way, {} a sum", Bytes(host.link.bytes_per_second),
                        HumanSeconds(host.link.seconds));
  }
  return text;
}

std::string DescribeHost(const Host& host) {
  const std::string count =
      host.sharing == Sharing::kOneDevice
          ? fmt::format("{} processor{}", host.num_devices, host.num_devices == 1 ? "" : "s")
          : fmt::format("{} device{}", host.num_devices, host.num_devices == 1 ? "" : "s");
  return fmt::format("{}: {} ({})", host.name, count, DescribeDevices(host));
}

std::string DescribeLayers(const ShapeFacts& facts) {
  if (!facts.has_encoder()) return fmt::format("{} layers", facts.decoder().num_layers);
  return fmt::format("{} + {} layers", facts.streams.front().num_layers,
                     facts.decoder().num_layers);
}

}  // namespace

std::string DescribeModel(const Plan& plan) {
  const ShapeFacts& facts = plan.facts;
  const std::string tables = plan.formats.tables == plan.formats.layers
                                 ? ""
                                 : fmt::format(" (tables {})", kernels::Name(plan.formats.tables));
  return fmt::format("{}: {} parameters, {}, {} heads ({} key/value), {} weights{}, {} cache",
                     facts.name, Thousands(facts.parameters), DescribeLayers(facts),
                     facts.num_heads, facts.num_kv_heads, kernels::Name(plan.formats.layers),
                     tables, Name(plan.formats.cache));
}

std::vector<std::string> DescribeHosts(const Plan& plan) {
  std::vector<std::string> lines;
  int64_t alike = 0;
  for (const Host& host : plan.machines.hosts) {
    const std::string line = DescribeHost(host);
    const std::string before = alike > 1 ? fmt::format("{} x {}", alike, line) : line;
    if (!lines.empty() && lines.back() == before) {
      lines.back() = fmt::format("{} x {}", ++alike, line);
      continue;
    }
    lines.push_back(line);
    alike = 1;
  }
  return lines;
}

std::string DescribeWorkload(const Plan& plan) {
  const Workload& work = plan.workload;
  return fmt::format("{} sequence{} of {} + {} tokens, cache for {} tokens each", work.batch,
                     work.batch == 1 ? "" : "s", work.prompt_tokens, work.new_tokens,
                     work.context_tokens);
}

std::string Name(const Degrees& degrees) {
  if (degrees.pipeline == 1) return fmt::format("{}", degrees.tensor);
  return fmt::format("{} x {}", degrees.tensor, degrees.pipeline);
}

std::string HumanSeconds(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.3g} us", 1e6 * seconds);
  if (seconds < 1) return fmt::format("{:.3g} ms", 1e3 * seconds);
  if (seconds < 120) return fmt::format("{:.3g} s", seconds);
  return fmt::format("{:.3g} min", seconds / 60);
}

std::string LoadTime(const LoadTimes& times) {
  if (times.disk) return HumanSeconds(*times.disk);
  return times.network ? HumanSeconds(*times.network) : "";
}

std::string Remarks(const PlanRow& row) {
  return fmt::format("{}", fmt::join(row.reasons.empty() ? row.notes : row.reasons, "; "));
}

}  // namespace dray::plan
