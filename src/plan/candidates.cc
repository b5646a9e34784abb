#include "plan/candidates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace dray::plan {
namespace {

std::vector<int64_t> TensorDegrees(const Machines& machines) {
  std::set<int64_t> degrees;
  for (const Host& host : machines.hosts) {
    for (const int64_t degree : host.degrees) {
      if (degree <= host.num_devices) degrees.insert(degree);
    }
    if (!host.degrees.empty()) continue;
    for (int64_t degree = 1; degree <= host.num_devices; degree *= 2) degrees.insert(degree);
    degrees.insert(host.num_devices);
  }
  return {degrees.begin(), degrees.end()};
}

// The most stages of `tensor` ranks for which there are devices.
int64_t MostStages(int64_t tensor, const Machines& machines) {
  int64_t stages = 0;
  for (const Host& host : machines.hosts) stages += host.num_devices / tensor;
  return stages;
}

std::vector<int64_t> PipelineDegrees(int64_t tensor, const ShapeFacts& facts,
                                     const Machines& machines) {
  const int64_t most = std::min(MostStages(tensor, machines), facts.max_stages());
  const auto hosts = static_cast<int64_t>(machines.hosts.size());
  std::set<int64_t> degrees = {1};
  if (hosts <= most) degrees.insert(hosts);
  if (most > 1) degrees.insert(most);
  return {degrees.begin(), degrees.end()};
}

// The first host whose runtime does not allow the degree; null: all do.
const Host* FirstAgainst(int64_t degree, const Machines& machines) {
  for (const Host& host : machines.hosts) {
    const bool listed =
        std::find(host.degrees.begin(), host.degrees.end(), degree) != host.degrees.end();
    if (!host.degrees.empty() && !listed) return &host;
  }
  return nullptr;
}

bool HeadsMustDivide(const Machines& machines) {
  return std::any_of(machines.hosts.begin(), machines.hosts.end(),
                     [](const Host& host) { return host.degrees_divide_heads; });
}

}  // namespace

std::vector<Degrees> Candidates(const ShapeFacts& facts, const Machines& machines,
                                const DegreeLists& lists) {
  std::vector<Degrees> candidates;
  const auto tensors = lists.tensor.empty() ? TensorDegrees(machines) : lists.tensor;
  for (const int64_t tensor : tensors) {
    const auto pipelines =
        lists.pipeline.empty() ? PipelineDegrees(tensor, facts, machines) : lists.pipeline;
    for (const int64_t pipeline : pipelines) candidates.push_back({tensor, pipeline});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Degrees& a, const Degrees& b) {
    return std::tie(a.tensor, a.pipeline) < std::tie(b.tensor, b.pipeline);
  });
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

std::vector<std::string> ReasonsAgainst(const Degrees& degrees, const ShapeFacts& facts,
                                        const Machines& machines) {
  std::vector<std::string> reasons;
  if (const Host* host = FirstAgainst(degrees.tensor, machines)) {
    reasons.push_back(fmt::format("the runtime of {} has the degrees {} only", host->device.name,
                                  fmt::join(host->degrees, ", ")));
  }
  if (degrees.tensor > facts.num_heads) {
    reasons.push_back(
        fmt::format("{} ranks, but the model has {} heads", degrees.tensor, facts.num_heads));
  } else if (facts.num_heads % degrees.tensor != 0 && HeadsMustDivide(machines)) {
    reasons.push_back(
        fmt::format("the runtime wants a degree that divides the {} heads, and {} "
                    "does not",
                    facts.num_heads, degrees.tensor));
  }
  if (degrees.pipeline > facts.max_stages()) {
    reasons.push_back(fmt::format("{} stages, but the model has {} layers", degrees.pipeline,
                                  facts.max_stages()));
  }
  if (degrees.tensor > machines.most_in_host()) {
    reasons.push_back(
        fmt::format("the ranks of a stage are on one host, and the largest has {} "
                    "device{}",
                    machines.most_in_host(), machines.most_in_host() == 1 ? "" : "s"));
  } else if (degrees.pipeline > MostStages(degrees.tensor, machines)) {
    reasons.push_back(fmt::format("{} stages of {}, but there is room for {}", degrees.pipeline,
                                  degrees.tensor, MostStages(degrees.tensor, machines)));
  }
  return reasons;
}

}  // namespace dray::plan
