// Figures are those of the makers' data sheets: dense products (without sparsity), gigabytes of 10^9
// bytes. The little that a device has beyond them is what its driver and runtime keep.
#include "plan/devices/device_table.h"

#include <array>
#include <span>

namespace dray::plan {
namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;

struct DeviceRow {
  std::string_view name;
  std::string_view source;
  double memory_gb;
  double bandwidth_gb;  // a second
  // Tera-operations a second, of which a multiply-and-add is two.
  double f32_tops;
  double half_tops;  // bf16 and f16
  double int8_tops;
  double link_gb;  // a second, both directions together, of all links of a device
  double sum_us;   // see kSumSeconds
  std::span<const int64_t> degrees = {};
  bool degrees_divide_heads = false;
};

// The Neuron runtime's lists of tensor-parallel degrees, and its rule that they divide the heads.
constexpr std::array<int64_t, 4> kInf1Degrees = {1, 2, 4, 8};
constexpr std::array<int64_t, 5> kInf2Degrees = {1, 2, 4, 8, 24};
constexpr std::array<int64_t, 4> kTrn1Degrees = {1, 2, 8, 32};

// Times of a sum are those of 4 to 32 KiB: NVLink of A100 14 to 17 microseconds, of H100 4 to 9, and
// PCIe about 50, as servers' authors report them. NeuronLink has no published figure; it is taken for
// NVLink of A100. A NeuronCore has its share of the memory and of the arithmetic of its chip.
constexpr DeviceRow kDevices[] = {
    {"t4", "NVIDIA T4 data sheet", 16, 320, 8.1, 65, 130, 32, 50},
    {"v100-16", "NVIDIA V100 data sheet, SXM2", 16, 900, 15.7, 125, 62.8, 300, 20},
    {"v100-32", "NVIDIA V100 data sheet, SXM2", 32, 900, 15.7, 125, 62.8, 300, 20},
    {"a10g", "NVIDIA A10G data sheet", 24, 600, 35, 70, 140, 64, 50},
    {"l4", "NVIDIA L4 data sheet", 24, 300, 30.3, 121, 242, 64, 50},
    {"l40s", "NVIDIA L40S data sheet", 48, 864, 91.6, 362, 733, 64, 50},
    {"a100-40", "NVIDIA A100 data sheet, SXM", 40, 1555, 19.5, 312, 624, 600, 16},
    {"a100-80", "NVIDIA A100 data sheet, SXM", 80, 2039, 19.5, 312, 624, 600, 16},
    {"h100", "NVIDIA H100 data sheet, SXM", 80, 3350, 67, 989, 1979, 900, 8},
    {"h200", "NVIDIA H200 data sheet, SXM", 141, 4800, 67, 989, 1979, 900, 8},
    {"inf1", "AWS Inferentia product page, a quarter of a chip", 2, 12.5, 4, 16, 32, 32, 20,
     kInf1Degrees, true},
    {"inf2", "AWS Neuron guide, NeuronCore-v2 of Inferentia2: half of a chip", 16, 410, 23.75, 95,
     190, 192, 16, kInf2Degrees, true},
    {"trn1", "AWS Neuron guide, NeuronCore-v2 of Trainium: half of a chip", 16, 410, 23.75, 95, 190,
     384, 16, kTrn1Degrees, true},
};

struct MachineRow {
  std::string_view name;
  int64_t count;
  std::string_view device;
  double network_gbit;  // a second
  double disk_gb;       // a second, of local disks; 0: it has none
};

// Amazon EC2's pages of instance types: devices, network bandwidth, and what their own disks read.
constexpr std::string_view kMachineSource = "Amazon EC2 instance types";
constexpr MachineRow kMachines[] = {
    {"g4dn.xlarge", 1, "t4", 25, 0.5},       {"g4dn.2xlarge", 1, "t4", 25, 0.5},
    {"g4dn.12xlarge", 4, "t4", 50, 2},       {"g5.xlarge", 1, "a10g", 10, 1},
    {"g5.2xlarge", 1, "a10g", 10, 1},        {"g5.12xlarge", 4, "a10g", 40, 3},
    {"g5.24xlarge", 4, "a10g", 50, 3},       {"g5.48xlarge", 8, "a10g", 100, 6},
    {"g6.12xlarge", 4, "l4", 40, 3},         {"g6e.12xlarge", 4, "l40s", 100, 3},
    {"p3.2xlarge", 1, "v100-16", 10, 0},     {"p3.8xlarge", 4, "v100-16", 10, 0},
    {"p3.16xlarge", 8, "v100-16", 25, 0},    {"p3dn.24xlarge", 8, "v100-32", 100, 4},
    {"p4d.24xlarge", 8, "a100-40", 400, 16}, {"p4de.24xlarge", 8, "a100-80", 400, 16},
    {"p5.48xlarge", 8, "h100", 3200, 16},    {"p5e.48xlarge", 8, "h200", 3200, 16},
    {"inf1.xlarge", 4, "inf1", 25, 0},       {"inf1.6xlarge", 16, "inf1", 25, 0},
    {"inf1.24xlarge", 64, "inf1", 100, 0},   {"inf2.xlarge", 2, "inf2", 15, 0},
    {"inf2.8xlarge", 2, "inf2", 25, 0},      {"inf2.24xlarge", 12, "inf2", 50, 0},
    {"inf2.48xlarge", 24, "inf2", 100, 0},   {"trn1.2xlarge", 2, "trn1", 12.5, 0},
    {"trn1.32xlarge", 32, "trn1", 800, 8},
};

Device DeviceOf(const DeviceRow& row) {
  const auto rate = [](double tops) { return tops * kTera / 2; };
  Device device = {.name = std::string(row.name),
                   .source = std::string(row.source),
                   .memory_bytes = row.memory_gb * kGiga,
                   .peak = {.read_bandwidth = row.bandwidth_gb * kGiga,
                            .f32 = rate(row.f32_tops),
                            .bf16 = rate(row.half_tops),
                            .int8 = rate(row.int8_tops),
                            .f16 = rate(row.half_tops)},
                   .sustained = {}};
  device.sustained = Sustained(device.peak);
  return device;
}

template <typename Rows>
std::string NamesOf(const Rows& rows) {
  std::string names;
  for (const auto& row : rows) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

}  // namespace

std::optional<Host> HostOfDevices(std::string_view device, int64_t count) {
  for (const DeviceRow& row : kDevices) {
    if (row.name != device) continue;
    Host host;
    host.num_devices = count;
    host.device = DeviceOf(row);
    host.link = {.bytes_per_second = row.link_gb * kGiga / 2, .seconds = row.sum_us * 1e-6};
    host.degrees.assign(row.degrees.begin(), row.degrees.end());
    host.degrees_divide_heads = row.degrees_divide_heads;
    return host;
  }
  return std::nullopt;
}

std::optional<Host> FindMachine(std::string_view name) {
  if (name.starts_with("ml.")) name.remove_prefix(3);  // SageMaker's names of the same machines
  for (const MachineRow& row : kMachines) {
    if (row.name != name) continue;
    std::optional<Host> host = HostOfDevices(row.device, row.count);
    host->name = row.name;
    host->source = kMachineSource;
    host->network.bytes_per_second = row.network_gbit * kGiga / 8;
    host->network.seconds = kSumSeconds;
    host->disk_bytes_per_second = row.disk_gb * kGiga;
    return host;
  }
  return std::nullopt;
}

std::string DeviceNames() { return NamesOf(kDevices); }
std::string MachineNames() { return NamesOf(kMachines); }

}  // namespace dray::plan
