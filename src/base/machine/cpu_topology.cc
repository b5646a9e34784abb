#include "base/machine/cpu_topology.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <system_error>

#include "base/parse/parse_number.h"

namespace dray {
namespace {

constexpr int64_t kMaxCpu = 65535;

// Cuts the first part off `text`, up to `separator`.
std::string_view TakePart(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

// The node's number of a folder "node12".
std::optional<int64_t> NodeNumber(const std::string& name) {
  constexpr std::string_view kPrefix = "node";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  return ParseInt64(std::string_view(name).substr(kPrefix.size()));
}

// Each processor's node, of all nodes that can be read.
std::map<int, int64_t> NodesOfCpus(const std::filesystem::path& root) {
  std::map<int, int64_t> nodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    const auto node = NodeNumber(entry.path().filename().string());
    if (!node) continue;
    std::ifstream file(entry.path() / "cpulist");
    std::string line;
    std::getline(file, line);
    const auto cpus = ParseCpuList(line);
    if (!cpus) continue;
    for (const int cpu : *cpus) nodes[cpu] = *node;
  }
  return nodes;
}

}  // namespace

std::optional<std::vector<int>> ParseCpuList(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::vector<int> cpus;
  while (!text.empty()) {
    std::string_view part = TakePart(text, ',');
    const bool is_range = part.find('-') != std::string_view::npos;
    const auto first = ParseInt64(TakePart(part, '-'));
    const auto last = is_range ? ParseInt64(part) : first;
    if (!first || !last || *first < 0 || *last < *first || *last > kMaxCpu) return std::nullopt;
    for (int64_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(static_cast<int>(cpu));
    if (cpus.size() > static_cast<size_t>(kMaxCpu) + 1) return std::nullopt;
  }
  return cpus;
}

std::vector<std::vector<int>> CpusByNode(const std::vector<int>& cpus,
                                         const std::filesystem::path& root) {
  const std::map<int, int64_t> nodes = NodesOfCpus(root);
  std::map<int64_t, std::vector<int>> by_node;
  std::vector<int> unclaimed;
  for (const int cpu : cpus) {
    const auto found = nodes.find(cpu);
    (found != nodes.end() ? by_node[found->second] : unclaimed).push_back(cpu);
  }
  std::vector<std::vector<int>> result;
  result.reserve(by_node.size());
  for (auto& [node, members] : by_node) result.push_back(std::move(members));
  if (result.empty()) return {unclaimed};
  result.front().insert(result.front().end(), unclaimed.begin(), unclaimed.end());
  std::sort(result.front().begin(), result.front().end());
  return result;
}

}  // namespace dray
