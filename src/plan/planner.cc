#include "plan/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/human.h"
#include "engine/runner/cache_size.h"
#include "plan/candidates.h"

namespace dray::plan {
namespace {

using Shares = std::vector<std::vector<RankShare>>;

constexpr int64_t kMostBatch = 65536;
// Requests that differ by less than this are as fast: devices are better used for other requests.
constexpr double kSameSpeed = 0.05;

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

Status CheckRange(std::string_view flag, int64_t value, int64_t most, std::string_view why) {
  if (value >= 1 && value <= most) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{} {}: it must be a number from 1 to {}{}", flag, value, most, why)};
}

Status CheckWorkload(const ShapeFacts& facts, const Workload& workload) {
  DRAY_RETURN_IF_ERROR(CheckRange("--batch", workload.batch, kMostBatch, ""));
  // Relative positions of an encoder-decoder model have no end.
  const int64_t most = facts.has_encoder() ? int64_t{1} << 20 : facts.max_positions;
  const std::string why = fmt::format(", which {} allows", facts.name);
  DRAY_RETURN_IF_ERROR(CheckRange("--prompt", workload.prompt_tokens, most, why));
  DRAY_RETURN_IF_ERROR(CheckRange("--new-tokens", workload.new_tokens, most, why));
  DRAY_RETURN_IF_ERROR(CheckRange("--context", workload.context_tokens, most, why));
  const int64_t used = workload.new_tokens + (facts.has_encoder() ? 0 : workload.prompt_tokens);
  if (used <= workload.context_tokens) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("--context {}: a sequence has {} tokens (--prompt and --new-tokens); raise "
                      "--context or lower these",
                      workload.context_tokens, used)};
}

kernels::WeightFormat FormatOf(const std::optional<DType>& dtype) {
  if (dtype == DType::kF16) return kernels::WeightFormat::kF16;
  if (dtype == DType::kBF16) return kernels::WeightFormat::kBF16;
  return kernels::WeightFormat::kF32;
}

Shares SharesOf(const ModelShape& shape, const Degrees& degrees) {
  Shares shares;
  for (int64_t stage = 0; stage < degrees.pipeline; ++stage) {
    std::vector<RankShare>& ranks = shares.emplace_back();
    for (int64_t rank = 0; rank < degrees.tensor; ++rank) {
      ranks.push_back(shape.ShareOf(degrees.RankAt(rank), degrees.StageAt(stage)));
    }
  }
  return shares;
}

// Memory of all ranks, and which of them is the fullest.
void CountMemory(const Plan& plan, const Shares& shares, PlanRow::Figures& figures) {
  double fullest = -1;
  for (size_t stage = 0; stage < shares.size(); ++stage) {
    const size_t place = figures.layout.stage_hosts[stage];
    const Host& host = plan.machines.hosts[place];
    const double room =
        host.device.memory_bytes * ShareOfHost(figures.layout, plan.machines, place);
    for (const RankShare& share : shares[stage]) {
      const RankMemory memory = MemoryOf(share, plan.formats, plan.workload, PackingOf(host));
      figures.total_weight_bytes += memory.weights;
      figures.total_padding_bytes += memory.padding;
      if (memory.total() / room <= fullest) continue;
      fullest = memory.total() / room;
      figures.memory = memory;
      figures.device_memory_bytes = room;
    }
  }
}

// The files' bytes go to every host once.
LoadTimes LoadTimesOf(const Plan& plan, const PlanRow::Figures& figures) {
  LoadTimes times;
  const auto slowest = [&](double bytes, auto rate_of) -> std::optional<double> {
    double seconds = 0;
    for (const size_t place : figures.layout.stage_hosts) {
      const double rate = rate_of(plan.machines.hosts[place]);
      if (rate <= 0) return std::nullopt;
      seconds = std::max(seconds, bytes / rate);
    }
    return seconds;
  };
  const auto disk = [](const Host& host) { return host.disk_bytes_per_second; };
  const auto network = [](const Host& host) { return host.network.bytes_per_second; };
  times.disk = slowest(plan.checkpoint_bytes, disk);
  times.network = slowest(plan.checkpoint_bytes, network);
  times.artifact_disk = slowest(figures.total_weight_bytes, disk);
  times.artifact_network = slowest(figures.total_weight_bytes, network);
  return times;
}

void AddNotes(const ShapeFacts& facts, PlanRow& row) {
  const int64_t world = row.degrees.tensor;
  const parallel::HeadSlices heads =
      CutHeads(facts.num_heads, facts.num_kv_heads, row.degrees.RankAt(0));
  const int64_t padding = heads.query.local_size * world - facts.num_heads;
  if (padding > 0) row.notes.push_back(fmt::format("{} heads of padding", padding));
  if (world > facts.num_kv_heads) {
    row.notes.push_back(
        fmt::format("{} ranks share {} key/value heads", world, facts.num_kv_heads));
  }
}

PlanRow MakeRow(const ModelShape& shape, const Degrees& degrees, const Plan& plan) {
  PlanRow row;
  row.degrees = degrees;
  row.reasons = ReasonsAgainst(degrees, plan.facts, plan.machines);
  if (!row.reasons.empty()) return row;
  AddNotes(plan.facts, row);
  PlanRow::Figures figures;
  figures.layout = PlaceStages(degrees, plan.machines);
  const Shares shares = SharesOf(shape, degrees);
  CountMemory(plan, shares, figures);
  const RankMemory& memory = figures.memory;
  if (memory.total() > figures.device_memory_bytes) {
    row.reasons.push_back(
        fmt::format("a rank needs {} (weights {}, cache {}, activations {}), but has {}",
                    Bytes(memory.total()), Bytes(memory.weights), Bytes(memory.cache),
                    Bytes(memory.activations), Bytes(figures.device_memory_bytes)));
  }
  figures.traffic = TrafficOf(plan.facts, degrees);
  figures.load = LoadTimesOf(plan, figures);
  figures.latency = LatencyOf({.facts = plan.facts,
                               .machines = plan.machines,
                               .layout = figures.layout,
                               .shares = shares,
                               .formats = plan.formats,
                               .workload = plan.workload});
  figures.request_seconds = figures.latency.RequestSeconds(plan.workload);
  figures.tokens_per_second =
      static_cast<double>(plan.workload.batch) / figures.latency.decode.seconds;
  row.figures = std::move(figures);
  return row;
}

std::optional<size_t> BestOf(const std::vector<PlanRow>& rows) {
  double least = std::numeric_limits<double>::infinity();
  for (const PlanRow& row : rows) {
    if (row.fits()) least = std::min(least, row.figures->request_seconds);
  }
  std::optional<size_t> best;
  const auto rank_of = [&](size_t i) {
    return std::pair(rows[i].degrees.num_ranks(), rows[i].figures->request_seconds);
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].fits() || rows[i].figures->request_seconds > (1 + kSameSpeed) * least) continue;
    if (!best || rank_of(i) < rank_of(*best)) best = i;
  }
  return best;
}

void AddPlanNotes(Plan& plan) {
  for (const Host& host : plan.machines.hosts) {
    if (host.link.bytes_per_second <= 0 && host.num_devices > 1) {
      plan.notes.push_back(
          fmt::format("{}: no link= is given, so sums take only their latency", host.name));
      break;
    }
  }
  if (!plan.best) {
    plan.notes.push_back(
        "nothing fits: more devices, a smaller --dtype, --context or --batch would need less");
  }
}

}  // namespace

Formats ChooseFormats(const ShapeFacts& facts, const PlanOptions& options) {
  Formats formats;
  const kernels::WeightFormat stored = facts.stored_format.value_or(FormatOf(facts.dtype));
  formats.layers = options.format.value_or(stored);
  formats.keep_stored = !options.format;
  const auto stored_tables = formats.keep_stored ? facts.stored_table_format : std::nullopt;
  formats.tables = options.table_format.value_or(stored_tables ? *stored_tables : formats.layers);
  formats.cache = options.cache.value_or(engine::KvDTypeBeside(formats.tables.format));
  return formats;
}

Result<Plan> MakePlan(const ModelShape& shape, const Machines& machines,
                      const PlanOptions& options) {
  Plan plan;
  plan.facts = shape.facts();
  plan.machines = machines;
  plan.workload = options.workload;
  DRAY_RETURN_IF_ERROR(CheckWorkload(plan.facts, plan.workload));
  plan.formats = ChooseFormats(plan.facts, options);
  plan.checkpoint_bytes = plan.facts.checkpoint_bytes;
  if (plan.checkpoint_bytes <= 0) {
    const auto number_bytes = static_cast<double>(SizeOf(plan.facts.dtype.value_or(DType::kF32)));
    plan.checkpoint_bytes = number_bytes * static_cast<double>(plan.facts.parameters);
  }
  const DegreeLists lists = {options.tensor_degrees, options.pipeline_degrees};
  for (const Degrees& degrees : Candidates(plan.facts, machines, lists)) {
    plan.rows.push_back(MakeRow(shape, degrees, plan));
  }
  plan.best = BestOf(plan.rows);
  AddPlanNotes(plan);
  return plan;
}

}  // namespace dray::plan
