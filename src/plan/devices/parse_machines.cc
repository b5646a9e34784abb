#include "plan/devices/parse_machines.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/parse/parse_number.h"
#include "plan/devices/device_table.h"
#include "plan/devices/quantity.h"

namespace dray::plan {
namespace {

using Text = std::string_view;

// A message shows at most so much of a part.
constexpr size_t kShownText = 80;

Status Wrong(Text part, const std::string& must_be) {
  return {StatusCode::kInvalidArgument,
          fmt::format("--devices: {}: {}", part.substr(0, kShownText), must_be)};
}

std::vector<Text> Split(Text text, char separator) {
  std::vector<Text> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == Text::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// "8x" or "2*" at the front: the number, which is removed together with `mark`. 1 if there is none.
Result<int64_t> TakeCount(Text& text, char mark) {
  const size_t end = text.find_first_not_of("0123456789");
  if (end == 0 || end == Text::npos || text[end] != mark) return int64_t{1};
  const std::optional<int64_t> count = ParseInt64(text.substr(0, end));
  if (!count || *count < 1 || *count > kMostDevices) {
    return Wrong(text.substr(0, end + 1),
                 fmt::format("a number must be from 1 to {}", kMostDevices));
  }
  text.remove_prefix(end + 1);
  return *count;
}

// "40GiB@1.5TB/s"
Result<Host> HostOfFigures(Text text, int64_t count) {
  const size_t at = text.find('@');
  const std::optional<double> memory = ParseBytes(text.substr(0, at));
  if (!memory) {
    return Wrong(text, "the memory of a device must be a number of bytes such as 40GiB or 16GB");
  }
  const std::optional<double> bandwidth = ParseBandwidth(text.substr(at + 1));
  if (!bandwidth) {
    return Wrong(text, "the bandwidth behind the @ must be bytes a second such as 1.5TB/s");
  }
  Host host;
  host.num_devices = count;
  host.device.source = "--devices";
  host.device.memory_bytes = *memory;
  host.device.peak.read_bandwidth = *bandwidth;
  host.link.seconds = kSumSeconds;
  return host;
}

Result<Host> HostOfHead(Text head, const ThisHost& this_host) {
  if (head == "this") return this_host();
  if (auto machine = FindMachine(head)) return *std::move(machine);
  Text text = head;
  DRAY_ASSIGN_OR_RETURN(const int64_t count, TakeCount(text, 'x'));
  if (text.find('@') != Text::npos) return HostOfFigures(text, count);
  if (auto host = HostOfDevices(text, count)) return *std::move(host);
  return Wrong(head, fmt::format("it must be this, [Nx]MEMORY@BANDWIDTH, [Nx] one of the devices "
                                 "{}, or one of the machines {}",
                                 DeviceNames(), MachineNames()));
}

// "1/2/4/8"
Result<std::vector<int64_t>> ParseDegrees(Text text) {
  std::vector<int64_t> degrees;
  for (const Text part : Split(text, '/')) {
    const std::optional<int64_t> degree = ParseInt64(part);
    if (!degree || *degree < 1 || *degree > kMostDevices) {
      return Wrong(
          part, fmt::format("degrees must be numbers from 1 to {}, such as 1/2/4/8", kMostDevices));
    }
    degrees.push_back(*degree);
  }
  return degrees;
}

// The factor of a link: its figure is the sum of both directions, as data sheets have it.
Status SetBandwidth(Text item, Text value, double factor, double& target) {
  const std::optional<double> bandwidth = ParseBandwidth(value);
  if (!bandwidth) {
    return Wrong(item, "it must be bytes or bits a second, such as 600GB/s or 400Gbps");
  }
  target = factor * *bandwidth;
  return OkStatus();
}

Status SetRate(Text item, Text value, std::initializer_list<double*> targets) {
  const std::optional<double> rate = ParseRate(value);
  if (!rate) return Wrong(item, "it must be operations a second, such as 300TFLOPs or 600TOPs");
  for (double* target : targets) *target = *rate;
  return OkStatus();
}

// One "key=value", or a rate alone.
Status Apply(Text item, Host& host) {
  bench::LimitsSample& peak = host.device.peak;
  const size_t equals = item.find('=');
  if (equals == Text::npos) return SetRate(item, item, {&peak.bf16, &peak.f16});
  const Text key = item.substr(0, equals), value = item.substr(equals + 1);
  if (key == "fp16" || key == "bf16") return SetRate(item, value, {&peak.bf16, &peak.f16});
  if (key == "fp32") return SetRate(item, value, {&peak.f32});
  if (key == "int8") return SetRate(item, value, {&peak.int8});
  if (key == "link") return SetBandwidth(item, value, 0.5, host.link.bytes_per_second);
  if (key == "network") return SetBandwidth(item, value, 1, host.network.bytes_per_second);
  if (key == "disk") return SetBandwidth(item, value, 1, host.disk_bytes_per_second);
  if (key == "latency") {
    const std::optional<double> seconds = ParseSeconds(value);
    if (!seconds) return Wrong(item, "it must be a time, such as 10us");
    host.link.seconds = *seconds;
    return OkStatus();
  }
  if (key == "degrees") {
    DRAY_ASSIGN_OR_RETURN(host.degrees, ParseDegrees(value));
    return OkStatus();
  }
  return Wrong(item,
               "it must be a rate such as 300TFLOPs, or one of fp32=, fp16=, int8=, link=, "
               "latency=, network=, disk=, degrees=");
}

// A rate that is not given is the nearest one that is: what a device cannot do with integers it does
// with floats, and the least that it has for 16 bits it has for 32.
Status CompleteRates(Text group, Host& host) {
  bench::LimitsSample& peak = host.device.peak;
  if (peak.bf16 <= 0 && peak.f32 <= 0) {
    return Wrong(group, "the rate of its arithmetic is missing: add one such as 300TFLOPs");
  }
  if (peak.bf16 <= 0) peak.bf16 = peak.f16 = peak.f32;
  if (peak.f32 <= 0) peak.f32 = peak.bf16;
  if (peak.int8 <= 0) peak.int8 = peak.bf16;
  host.device.sustained = Sustained(peak);
  return OkStatus();
}

Status AddGroup(Text group, const ThisHost& this_host, Machines& machines) {
  const std::vector<Text> items = Split(group, ',');
  Text head = items.front();
  DRAY_ASSIGN_OR_RETURN(const int64_t copies, TakeCount(head, '*'));
  DRAY_ASSIGN_OR_RETURN(Host host, HostOfHead(head, this_host));
  for (size_t i = 1; i < items.size(); ++i) DRAY_RETURN_IF_ERROR(Apply(items[i], host));
  if (host.sharing == Sharing::kOwnDevices) DRAY_RETURN_IF_ERROR(CompleteRates(group, host));
  if (host.name.empty()) host.name = std::string(head);
  if (copies * host.num_devices > kMostDevices - machines.num_devices()) {
    return Wrong(group, fmt::format("more than {} devices", kMostDevices));
  }
  machines.hosts.insert(machines.hosts.end(), static_cast<size_t>(copies), host);
  return OkStatus();
}

}  // namespace

Result<Machines> ParseMachines(Text spec, const ThisHost& this_host) {
  Machines machines;
  machines.spec = std::string(spec);
  for (const Text group : Split(spec, '+')) {
    DRAY_RETURN_IF_ERROR(AddGroup(group, this_host, machines));
  }
  return machines;
}

}  // namespace dray::plan
