// Numbers with units, as they stand in a description of devices: "40GiB", "1.5TB/s", "300TFLOPs",
// "10us". Only positive finite numbers are read; nothing is returned for anything else.
#pragma once

#include <optional>
#include <string_view>

namespace dray::plan {

// B, kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB powers of 1024.
std::optional<double> ParseBytes(std::string_view text);
// The same a second ("1.5TB/s"), or bits a second ("400Gbps", "400Gbit/s"); in bytes a second.
std::optional<double> ParseBandwidth(std::string_view text);
// "300TFLOPs", "300TFLOP/s", "600TOPs", "2PFLOPs": multiply-and-adds a second, half of that number.
std::optional<double> ParseRate(std::string_view text);
// "500ns", "10us", "0.1ms", "1s"; in seconds.
std::optional<double> ParseSeconds(std::string_view text);

}  // namespace dray::plan
