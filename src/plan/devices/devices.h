// The machines that a model is planned for: hosts, each with equal devices, and the links between
// them. All figures are per second and in bytes or multiply-and-adds; a data sheet's operation is half
// a multiply-and-add.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/machine_limits.h"

namespace dray::plan {

struct Device {
  std::string name;    // "a100-40"; "" if only its figures are known
  std::string source;  // where the figures are from
  double memory_bytes = 0;
  bench::LimitsSample peak;
  // What a well-written pass reaches of the peak.
  bench::LimitsSample sustained;
};

// What two devices of a host, or two hosts, send to each other.
struct Link {
  double bytes_per_second = 0;  // in each direction
  double seconds = 0;           // that a sum or a message takes beside the time for its bytes
};

// How the ranks of a host divide its figures.
enum class Sharing : uint8_t {
  kOwnDevices,  // each rank has a device
  kOneDevice,   // the ranks divide the processors and the memory of one machine
};

struct Host {
  std::string name;  // "p4d.24xlarge"
  std::string source;
  int64_t num_devices = 1;  // ranks that it has room for
  Device device;            // kOneDevice: the whole machine
  // kOneDevice: what one of its `num_devices` processors reads while the others are idle; 0: its equal share.
  double lone_read_bandwidth = 0;
  Link link;
  Link network;
  double disk_bytes_per_second = 0;  // 0: unknown
  Sharing sharing = Sharing::kOwnDevices;
  // The tensor-parallel degrees that the device's runtime allows; empty: all.
  std::vector<int64_t> degrees;
  // Whether the runtime allows only degrees that divide the number of heads.
  bool degrees_divide_heads = false;
};

struct Machines {
  std::string spec;  // as it was given
  std::vector<Host> hosts;

  int64_t num_devices() const;
  // The most ranks that one host has room for.
  int64_t most_in_host() const;
};

// What passes reach of a data sheet's figures: of the memory's bandwidth, and of the arithmetic.
// Copies on an H200 reach 4.3 of its 4.8 TB/s (0.90) and large products 790 of 989 TFLOP/s (0.80);
// the best servers reach 0.74 to 0.83 of the bandwidth while they decode. These two lie between.
inline constexpr double kMemoryShare = 0.85;
inline constexpr double kArithmeticShare = 0.7;
// What a sum takes beside the time for its bytes where nothing better is known: between 8 KiB over
// NVLink (5 to 17 microseconds) and over PCIe (about 50).
inline constexpr double kSumSeconds = 20e-6;

// The figures that a data sheet's peak means for passes.
bench::LimitsSample Sustained(const bench::LimitsSample& peak);

}  // namespace dray::plan
