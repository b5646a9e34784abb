// Descriptions of machines: what they mean, and what is refused.
#include <gtest/gtest.h>

#include <string>

#include "plan/devices/device_table.h"
#include "plan/devices/parse_machines.h"
#include "plan/devices/quantity.h"

namespace dray::plan {
namespace {

Result<Host> ThisOfTests() {
  Host host;
  host.name = "this machine";
  host.sharing = Sharing::kOneDevice;
  host.num_devices = 3;
  return host;
}

Machines Parse(const std::string& spec) {
  auto machines = ParseMachines(spec, ThisOfTests);
  EXPECT_TRUE(machines.ok()) << spec << ": " << machines.status().ToString();
  return machines.ok() ? std::move(*machines) : Machines{};
}

TEST(QuantityTest, NumbersWithUnits) {
  EXPECT_EQ(ParseBytes("40GiB"), 40 * 1073741824.0);
  EXPECT_EQ(ParseBytes("16gb"), 16e9);
  EXPECT_EQ(ParseBytes("512B"), 512);
  EXPECT_EQ(ParseBandwidth("1.5TB/s"), 1.5e12);
  EXPECT_EQ(ParseBandwidth("400Gbps"), 50e9);
  EXPECT_EQ(ParseBandwidth("8Gbit/s"), 1e9);
  EXPECT_EQ(ParseRate("300TFLOPs"), 150e12);
  EXPECT_EQ(ParseRate("300TFLOPS"), 150e12);
  EXPECT_EQ(ParseRate("300TFLOP/s"), 150e12);
  EXPECT_EQ(ParseRate("2POPs"), 1e15);
  EXPECT_EQ(ParseSeconds("10us"), 10 * 1e-6);
  EXPECT_EQ(ParseSeconds("0.5ms"), 0.5 * 1e-3);
}

TEST(QuantityTest, NothingElse) {
  for (const char* const text :
       {"", "GB", "40", "40 GiB", "-1GB", "0GB", "1e3GB", "nanGB", "40XB", "1.2.3GB", "40GiB/s"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
  for (const char* const text : {"", "/s", "1TB", "1bps/s", "bps", "1TB/h", "0TB/s"}) {
    EXPECT_EQ(ParseBandwidth(text), std::nullopt) << text;
  }
  for (const char* const text : {"", "s", "300", "300TFLOP", "300T", "300TBs"}) {
    EXPECT_EQ(ParseRate(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseSeconds("10"), std::nullopt);
  EXPECT_EQ(ParseBytes(std::string(400, '9') + "TB"), std::nullopt);  // not finite
}

TEST(MachinesTest, FiguresOfDevices) {
  const Machines machines = Parse("8x40GiB@1.5TB/s,300TFLOPs,link=600GB/s,latency=12us,disk=2GB/s");
  ASSERT_EQ(machines.hosts.size(), 1u);
  const Host& host = machines.hosts.front();
  EXPECT_EQ(host.num_devices, 8);
  EXPECT_EQ(host.device.memory_bytes, 40 * 1073741824.0);
  EXPECT_EQ(host.device.peak.read_bandwidth, 1.5e12);
  EXPECT_EQ(host.device.peak.bf16, 150e12);
  // Rates that are not given are the nearest ones that are.
  EXPECT_EQ(host.device.peak.f32, 150e12);
  EXPECT_EQ(host.device.peak.int8, 150e12);
  EXPECT_EQ(host.device.sustained.read_bandwidth, kMemoryShare * 1.5e12);
  EXPECT_EQ(host.link.bytes_per_second, 300e9);  // half of both directions
  EXPECT_EQ(host.link.seconds, 12 * 1e-6);
  EXPECT_EQ(host.disk_bytes_per_second, 2e9);
}

TEST(MachinesTest, NamesAndHosts) {
  const Machines machines = Parse("2*ml.p4d.24xlarge+4xa10g,link=32GB/s,degrees=1/4+this");
  ASSERT_EQ(machines.hosts.size(), 4u);
  EXPECT_EQ(machines.num_devices(), 8 + 8 + 4 + 3);
  EXPECT_EQ(machines.most_in_host(), 8);
  EXPECT_EQ(machines.hosts[1].name, "p4d.24xlarge");
  EXPECT_EQ(machines.hosts[1].device.name, "a100-40");
  EXPECT_EQ(machines.hosts[1].network.bytes_per_second, 50e9);
  EXPECT_EQ(machines.hosts[2].link.bytes_per_second, 16e9);
  EXPECT_EQ(machines.hosts[2].degrees, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(machines.hosts[3].sharing, Sharing::kOneDevice);
}

TEST(MachinesTest, InferentiaHasTheDegreesOfItsRuntime) {
  const Machines machines = Parse("inf2.48xlarge");
  const Host& host = machines.hosts.front();
  EXPECT_EQ(host.num_devices, 24);
  EXPECT_EQ(host.degrees, (std::vector<int64_t>{1, 2, 4, 8, 24}));
  EXPECT_TRUE(host.degrees_divide_heads);
  EXPECT_EQ(host.device.memory_bytes, 16e9);
}

TEST(MachinesTest, WrongDescriptionsNameThePartAndWhatItMustBe) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "it must be this"},
      {"8xb200", "it must be this"},
      {"0xa10g", "from 1 to"},
      {"99999999999999999999xa10g", "from 1 to"},
      {"4097xa10g", "from 1 to"},
      {"4096*8xa10g", "more than 4096 devices"},
      {"8x40@1TB/s,1TFLOPs", "40GiB"},
      {"8x40GiB@1TB,1TFLOPs", "1.5TB/s"},
      {"8x40GiB@1TB/s", "300TFLOPs"},
      {"8x40GiB@1TB/s,300TFLOPs,colour=red", "colour=red"},
      {"8x40GiB@1TB/s,300TFLOPs,link=fast", "600GB/s"},
      {"4xa10g,latency=10", "10us"},
      {"4xa10g,degrees=1/0", "degrees"},
      {"4xa10g,int8=many", "600TOPs"},
      {"4xa10g+", "it must be this"},
      {"4xa10g,", "300TFLOPs"},
  };
  for (const auto& [spec, part] : cases) {
    const auto machines = ParseMachines(spec, ThisOfTests);
    ASSERT_FALSE(machines.ok()) << spec;
    EXPECT_EQ(machines.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(machines.status().message().find(part), std::string::npos)
        << spec << ": " << machines.status().message();
  }
}

TEST(MachinesTest, TheErrorOfThisMachineIsPassedOn) {
  const auto machines =
      ParseMachines("this", [] { return Status(StatusCode::kResourceExhausted, "no memory"); });
  EXPECT_EQ(machines.status().code(), StatusCode::kResourceExhausted);
}

TEST(DeviceTableTest, EveryNameIsFoundAndHasItsFigures) {
  for (const std::string& names : {DeviceNames(), MachineNames()}) {
    size_t begin = 0;
    while (begin < names.size()) {
      const size_t end = std::min(names.find(", ", begin), names.size());
      const Machines machines = Parse(names.substr(begin, end - begin));
      begin = end + 2;
      for (const Host& host : machines.hosts) {
        EXPECT_GT(host.device.memory_bytes, 1e9);
        EXPECT_GT(host.device.peak.read_bandwidth, 1e10);
        EXPECT_GE(host.device.peak.bf16, host.device.peak.f32);
        EXPECT_GT(host.link.bytes_per_second, 0);
        EXPECT_FALSE(host.device.source.empty());
      }
    }
  }
}

}  // namespace
}  // namespace dray::plan
