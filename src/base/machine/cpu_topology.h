// Which processors lie beside which memory, and which of them threads should take.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace dray {

// "0-3,8,10-11" as the kernel writes lists of processors: {0, 1, 2, 3, 8, 10, 11}. Nothing if the
// text is no such list or names a processor above 65535.
std::optional<std::vector<int>> ParseCpuList(std::string_view text);

// `cpus` by memory node, in the order of the nodes' numbers, without nodes that have none of them.
// `root` is where the kernel describes nodes (node0/cpulist, ...). Processors that no node claims
// join the first; without any description there is one node.
std::vector<std::vector<int>> CpusByNode(
    const std::vector<int>& cpus, const std::filesystem::path& root = "/sys/devices/system/node");

}  // namespace dray
