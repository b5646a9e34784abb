// Where memory lives. Only operations of a kernel table and explicit copies touch the bytes of a
// buffer; on the host they are plain memory, on another device they are not addressable here.
#pragma once

#include <cstdint>

namespace dray {

enum class DeviceKind : uint8_t { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

}  // namespace dray
